"""What an evaluation is given: the trained model, the splits, and codes that are computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from latentbench.data.dataset import Split, Splits
from latentbench.models.codes import Posterior
from latentbench.models.guards import checked_codes, guarded
from latentbench.models.model import Model
from latentbench.part import Assembly
from latentbench.streams import stream


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
    """

    def __init__(self, model: Model, splits: Splits, seed: int, batch_size: int = 1000) -> None:
        self.model = model
        self.splits: dict[str, Split] = dict(splits.items())
        self.seed = seed
        self.batch_size = batch_size
        self._codes: dict[str, Codes] = {}

    @property
    def assembly(self) -> Assembly:
        """The parts that the model is built from."""
        return self.model.assembly

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
