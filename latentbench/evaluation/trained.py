"""What an evaluation is given: the trained model, the splits, and codes that are computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, Self, cast

import torch
from pydantic import ValidationError
from torch import Generator, Tensor, nn

from latentbench.data.dataset import Split, Splits
from latentbench.errors import UserError, first_problem
from latentbench.models.codes import Posterior
from latentbench.models.guards import checked_codes, guarded
from latentbench.models.model import Model, build_model
from latentbench.part import Assembly, Part
from latentbench.streams import stream

Setting = Literal["family", "estimator", "likelihood", "encoder", "decoder"]
"""The settings that name a part which evaluations can build."""
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Codes:
    """The codes of one split of N images, on the CPU: one true sample each, and what it costs."""

    sample: Tensor  # [N, K]
    mean: Tensor  # [N, K]
    location: Tensor  # [N, K]
    representation: Tensor  # [N, F]
    costs: Mapping[str, Tensor]  # [N] each, in nats
    kl: Tensor | None  # [N, G] in nats; None for point codes


class Trained:
    """What an evaluation gets: the trained model, its parts, the splits, and codes that are computed once and shared between evaluations.

    Every split's sampling noise is a stream of its own, so results do not depend on which evaluations run, or in which order.

    Args:
        model: the trained model.
        splits: the data.
        seed: the run's seed.
        batch_size: images that are encoded at once.
        make: builds a model of an assembly as the run's was built; without it, by seed, device and precision of `model`.
        read: the tensors of the run's model after a share of its training.
        steps: how many steps the training had; None where it is not known.
    """

    def __init__(
        self,
        model: Model,
        splits: Splits,
        seed: int,
        batch_size: int = 1000,
        make: Callable[[Assembly], Model] | None = None,
        read: Callable[[float], Mapping[str, Tensor]] | None = None,
        steps: int | None = None,
    ) -> None:
        self.model = model
        self.splits: dict[str, Split] = dict(splits.items())
        self.dictionary = splits.dictionary
        """The true dictionary [M, L] of data that have one (`DataSet.has_truth`)."""
        self.seed = seed
        self.batch_size = batch_size
        self._make = make or partial(build_model, seed=seed, device=model.device, dtype=model.dtype)
        self.steps = steps
        self._read = read or _not_kept
        self._parts: Mapping[str, type[Part]] = {}
        self._codes: dict[str, Codes] = {}

    @property
    def assembly(self) -> Assembly:
        """The parts that the model is built from."""
        return self.model.assembly

    def at(self, share: float) -> Self:
        """The same for a new model, as it was after a share of the training: 0 is its initial values, 1 the trained model.

        An evaluation declares the shares in `checkpoints`, so that they are kept. The model's codes have the sampling noise of the trained model's.

        Raises:
            UserError: the model at this share was not kept.
        """
        model = self._make(self.assembly)
        model.load_state_dict(self._read(share))
        earlier = copy(self)
        earlier.model, earlier._codes = model.eval(), {}
        return earlier

    def step_at(self, share: float) -> float:
        """The step of the training after a share of it, with which metrics over the training are indexed; the share where that is not known."""
        return share if self.steps is None else round(share * self.steps)

    def build(self, kind: Setting, name: str, options: Mapping[str, Any] = NO_OPTIONS) -> nn.Module:
        """Another part for this model, at its initial values: of the model's assembly, seed, device and precision, with this part in its place.

        Args:
            kind: the setting that names the part in suites.
            name: the part, which the evaluation declares in `builds`.
            options: the part's options; those not given are at their defaults.

        Raises:
            UserError: the evaluation does not declare the part, an option is wrong, or the part does not apply to this model.
        """
        part = self._parts.get(f"{kind}:{name}")
        if part is None:
            declared = ", ".join(self._parts) or "none"
            raise UserError(f"{kind} '{name}' is built by an evaluation that does not declare it in `builds`; declared: {declared}")
        return self._built(kind, part, options)

    def varied(self, kind: Setting, options: Mapping[str, Any]) -> nn.Module:
        """The model's own part, with its state, and with some of its options changed; its version is part of the run's identity already.

        Raises:
            UserError: the model has no such part, an option is wrong, or the state does not fit the options.
        """
        part, own = cast("type[Part] | None", getattr(self.assembly, kind)), getattr(self.model, kind)
        if part is None:
            raise UserError(f"the model has no {kind}")
        made = self._built(kind, part, {**self.assembly.options[kind].model_dump(), **options})
        try:
            made.load_state_dict(own.state_dict())
        except RuntimeError as error:
            raise UserError(f"{kind} '{part.name}': its state does not fit the options {dict(options)}") from error
        return made

    def _built(self, kind: Setting, part: type[Part], options: Mapping[str, Any]) -> nn.Module:
        try:
            checked = part.options_model.model_validate(dict(options))
        except ValidationError as error:
            raise first_problem(error, part.options_model, dict(options)).error(note=f" (option of {kind} '{part.name}')") from error
        changed = {kind: part, "options": {**self.assembly.options, kind: checked}}
        assembly = replace(self.assembly, **cast("Any", changed))
        reason = part.inapplicable(assembly, checked)
        if reason:
            raise UserError(f"{kind} '{part.name}' does not apply: {reason}")
        return cast("nn.Module", getattr(self._make(assembly).eval(), kind))

    def allowing(self, parts: Mapping[str, type[Part]]) -> Self:
        """The same, codes included, for an evaluation that declares `parts`, by `setting:name`."""
        allowed = copy(self)
        allowed._parts = parts
        return allowed

    def codes(self, split: str) -> Codes:
        """The codes of a split, encoded at the first call.

        Raises:
            UserError: a part of the model returned something else than its contract says.
            NonFiniteError: (by the fields of the codes) a number is not finite.
        """
        if split not in self._codes:
            self._codes[split] = self._encode(split)
        return self._codes[split]

    def decode(self, z: Tensor) -> Tensor:
        """E[x | z] of codes [N, K], batch by batch, on the CPU [N, *data_shape]."""
        with torch.no_grad():
            parts = list(torch.split(z, self.batch_size))
            return torch.cat([self._model(i).decode_mean(part.to(self.model.device)).cpu() for i, part in enumerate(parts)])

    def prior_samples(self, n: int) -> Tensor | None:
        """`n` true samples of the prior [n, K] on the CPU, or None where the family has no prior."""
        generator = stream(self.seed, "evaluation", "prior", device=self.model.device)
        with torch.no_grad():
            prior = guarded(self.model).family.prior(n)
            return None if prior is None else prior.sample(generator).cpu()

    def _encode(self, split: str) -> Codes:
        generator = stream(self.seed, "evaluation", "codes", split, device=self.model.device)
        with torch.no_grad():
            batches = [
                self._encode_batch(self._model(i, finite=False), images, generator)
                for i, images in enumerate(torch.split(self.splits[split].images, self.batch_size))
            ]
        return checked_codes(_concatenated(batches), self.model.family)

    def _model(self, batch: int, finite: bool = True) -> Model:
        """The model, guarded where the batch is the first."""
        return self.model if batch else guarded(self.model, finite)

    def _encode_batch(self, model: Model, images: Tensor, generator: Generator) -> Codes:
        images = images.to(self.model.device, self.model.dtype)
        code = model.encode(images, generator)
        z = code.sample(generator)
        kl = code.kl(generator) if isinstance(code, Posterior) else None
        costs = model.family.costs(images, code, z, model.decoder(z), model.likelihood, kl)
        kl = None if kl is None else kl.cpu()
        return Codes(z.cpu(), code.mean.cpu(), code.location.cpu(), code.representation.cpu(), {k: v.cpu() for k, v in costs.items()}, kl)


def _not_kept(share: float) -> Mapping[str, Tensor]:
    raise UserError(f"the model at the share {share:g} of its training was not kept")


def _concatenated(batches: Sequence[Codes]) -> Codes:
    first = batches[0]
    return Codes(
        sample=torch.cat([b.sample for b in batches]),
        mean=torch.cat([b.mean for b in batches]),
        location=torch.cat([b.location for b in batches]),
        representation=torch.cat([b.representation for b in batches]),
        costs={name: torch.cat([b.costs[name] for b in batches]) for name in first.costs},
        kl=None if first.kl is None else torch.cat([b.kl for b in batches if b.kl is not None]),
    )
