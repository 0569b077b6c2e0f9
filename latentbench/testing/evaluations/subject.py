"""An evaluation as its checks see it: on small models of several kinds, with data whose splits differ in size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentbench.data.dataset import DataSet, Split, Splits
from latentbench.errors import UserError
from latentbench.evaluation.contract import Evaluation
from latentbench.evaluation.outcome import Outcome
from latentbench.evaluation.trained import Trained
from latentbench.models.family import Family
from latentbench.models.model import Model, build_model
from latentbench.part import Assembly, Options, Part
from latentbench.registry import load_registry
from latentbench.streams import stream
from latentbench.suites.evaluation_plan import buildable
from latentbench.testing import bench
from latentbench.testing.ambient import watched
from latentbench.testing.evaluations.families import KitCounts, KitGaussian, KitPairs, KitPoints
from latentbench.testing.law import Effort, InapplicableError

SIZES = {"train": 70, "validation": 50, "test": 40}
OTHERS = 2
"""Models that are measured with options that are not the defaults."""
BATCH = 30
"""Images that are encoded at once: the last batch of every split is a short one."""


@dataclass(frozen=True)
class Measured:
    """What an evaluation returned, and what it has changed: global state, parameters and buffers, and modes and gradients of modules."""

    outcome: Outcome
    changed: list[str]
    tensors: list[str]
    flags: list[str]


@dataclass(frozen=True)
class Twice:
    """Two evaluations of one trained model whose codes were computed before, and the data and codes that the first has changed."""

    first: Measured
    second: Measured
    data: list[str]


@dataclass(frozen=True)
class Bench:
    """An evaluation with options, and a model of one kind that it can measure."""

    title: str
    part: type[Evaluation]
    options: Options
    effort: Effort
    assembly: Assembly

    @cached_property
    def splits(self) -> Splits:
        """The data, as many images as `SIZES` says."""
        assert isinstance(self.assembly.dataset, DataSet)
        loaded = self.assembly.dataset.load(Path())
        found = dict(loaded.items())
        return Splits(*(_first(found[name], size) for name, size in SIZES.items()), dictionary=loaded.dictionary)

    def replaced(self, name: str) -> Splits:
        """The same with other images, and other labels, in one split."""
        kind, dictionary = self.assembly.dataset.pixels, self.splits.dictionary
        return Splits(*(_other(split, kind) if which == name else split for which, split in self.splits.items()), dictionary=dictionary)

    def model(self, seed: int) -> Model:
        """A model of the assembly, at the initial values of a seed."""
        return build_model(self.assembly, seed, self.effort.device, torch.float32).eval()

    def trained(self, splits: Splits | None = None) -> Trained:
        """A trained model that nothing was measured on, with the parts that the evaluation declares; its training led from one draw to another."""
        model, registry = self.model(2), load_registry()
        make = partial(build_model, seed=1, device=self.effort.device, dtype=torch.float32)
        built = (f"{kind}:{name}" for kind, name, *_ in self.part.builds(self.options))
        parts: Mapping[str, type[Part]] = {key: buildable(key, registry) for key in built}
        whole = Trained(model, splits or self.splits, 1, BATCH, make, self._read)
        return whole.allowing(parts)

    def _read(self, share: float) -> dict[str, Tensor]:
        """The tensors between those of the initial and of the trained model."""
        if share != 1 and share not in self.part.checkpoints(self.options):
            raise UserError(f"the model at the share {share:g} of its training was not kept, as `checkpoints` does not name it")
        first, last = self.model(1).state_dict(), self.model(2).state_dict()
        return {name: torch.lerp(value, last[name], share) if value.is_floating_point() else last[name] for name, value in first.items()}

    def measured(self, trained: Trained, seed: int = 1) -> Measured:
        """What the evaluation returns, and changes, under a global seed."""
        before, flags = _tensors(trained.model), _flags(trained.model)
        with watched(seed) as changed:
            outcome = self.part(self.options).evaluate(trained, stream(self.effort.seed, "testing", "evaluation"))
        after = _flags(trained.model)
        moved = [name for name, value in flags.items() if after.get(name) != value]
        return Measured(outcome, changed, unlike(before, trained.model.state_dict()), moved)

    @cached_property
    def first(self) -> Measured:
        """What it returns for a model that nothing else was measured on."""
        return self.measured(self.trained())

    @cached_property
    def twice(self) -> Twice:
        """What it returns for a model whose codes of every split, and samples of whose prior, were used before."""
        trained = self.trained()
        trained.prior_samples(5)
        before = {name: value.clone() for name, value in _data(trained).items()}
        first = self.measured(trained)
        changed = unlike(before, _data(trained))
        return Twice(first, self.measured(trained), changed)


@dataclass(frozen=True)
class EvaluationSubject:
    """An evaluation class with options, and the models that it can measure."""

    part: type[Evaluation]
    options: Options
    benches: list[Bench]


def _images(pixels: str, *shape: int) -> bench.KitKnownImages:
    return bench.KitKnownImages(bench.KitImagesOptions.model_validate({"images": max(SIZES.values()), "pixels": pixels, "shape": shape}))


KINDS: Mapping[str, Callable[[], Assembly]] = {
    "a Gaussian model of grey images": lambda: bench.assembly(family=KitGaussian, dataset=_images("real", 1, 6, 6)),
    "a bent decoder of pairs, vectors": lambda: bench.assembly(family=KitPairs, decoder=bench.KitBent, dataset=_images("unit", 20)),
    "counts, colour images": lambda: bench.assembly(family=KitCounts, dataset=_images("count", 3, 4, 4)),
    "points, binary images": lambda: bench.assembly(family=KitPoints, encoder=None, dataset=_images("binary", 1, 4, 4)),
}


def _installed() -> Iterator[tuple[str, Callable[[], Assembly]]]:
    """Models with the families that plugins provide, for evaluations that are made for one of them."""
    for name, family in load_registry().parts["families"].items():
        assert issubclass(family, Family)
        without: dict[str, Any] = {"encoder": None} if not _encodes(family) else {}
        yield f"family '{name}'", partial(bench.assembly, family=family, dataset=_images("real", 1, 6, 6), **without)


def _encodes(family: type[Family]) -> bool:
    return not family.names_ignored("encoder")


def subject(part: type[Evaluation], options: Options, effort: Effort) -> EvaluationSubject:
    """The subject of the checks of evaluations: all models of the kit that it can measure, or else one with a family of a plugin.

    Raises:
        InapplicableError: there is no such model.
    """
    benches: list[Bench] = []
    reasons: list[str] = []
    for title, make in (*KINDS.items(), *_installed()):
        if benches and title not in KINDS:
            break
        try:
            made = make()
        except InapplicableError:
            continue
        reason = part.left_out(made, options)
        if reason is None:
            benches.append(Bench(title, part, options, effort, made))
        else:
            reasons.append(reason)
    if not benches:
        raise InapplicableError(reasons[0])
    return EvaluationSubject(part, options, benches if options == part.options_model() else benches[:OTHERS])


def unlike(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """The names whose tensor differs, or is no longer there."""
    return [name for name, value in before.items() if name not in after or not torch.equal(after[name], value)]


def _tensors(model: Model) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def _flags(model: Model) -> dict[str, bool]:
    """The mode of every module, and which parameters have, and record, gradients."""
    found = {f"the mode of {name or 'the model'}": module.training for name, module in model.named_modules()}
    for name, parameter in model.named_parameters():
        found |= {f"the gradient of {name}": parameter.grad is not None, f"requires_grad of {name}": parameter.requires_grad}
    return found


def _data(trained: Trained) -> dict[str, Tensor]:
    """Images, labels, causes, and the codes that evaluations share."""
    found: dict[str, Tensor | None] = {"the true dictionary": trained.dictionary}
    for name, split in trained.splits.items():
        codes = trained.codes(name)
        found |= {f"{field.name} of the {name} codes": getattr(codes, field.name) for field in fields(codes) if field.name != "costs"}
        found |= {f"{cost} of the {name} codes": values for cost, values in codes.costs.items()}
        found |= {f"the {name} images": split.images, f"the {name} labels": split.labels, f"the {name} causes": split.causes}
    return {name: value for name, value in found.items() if value is not None}


def _first(split: Split, size: int) -> Split:
    labels, causes = (None if tensor is None else tensor[:size].clone() for tensor in (split.labels, split.causes))
    return Split(split.images[:size].clone(), labels, causes)


def _other(split: Split, pixels: str) -> Split:
    """Other images of the same kind, other labels and other causes."""
    mirrored = {"unit": 1 - split.images, "binary": 1 - split.images, "count": split.images.flip(0) + 1}.get(pixels, 0.5 - 1.5 * split.images)
    causes = None if split.causes is None else split.causes.flip(0)
    return Split(mirrored, None if split.labels is None else (split.labels.flip(0) + 1) % 4, causes)
