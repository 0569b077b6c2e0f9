"""An evaluation as its checks see it: on small models of several kinds, with data whose splits differ in size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
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
    """What an evaluation returned, and the global state that it has changed."""

    outcome: Outcome
    changed: list[str]


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
        parts: Mapping[str, type[Part]] = {f"{kind}:{name}": buildable(f"{kind}:{name}", registry) for kind, name in self.part.builds(self.options)}
        whole = Trained(model, splits or self.splits, 1, BATCH, make, self._read)
        return whole.allowing(parts)

    def _read(self, share: float) -> dict[str, Tensor]:
        """The tensors between those of the initial and of the trained model."""
        if share != 1 and share not in self.part.checkpoints(self.options):
            raise UserError(f"the model at the share {share:g} of its training was not kept, as `checkpoints` does not name it")
        first, last = self.model(1).state_dict(), self.model(2).state_dict()
        return {name: torch.lerp(value, last[name], share) if value.is_floating_point() else last[name] for name, value in first.items()}

    def measured(self, trained: Trained, seed: int = 1) -> Measured:
        """What the evaluation returns, under a global seed."""
        with watched(seed) as changed:
            outcome = self.part(self.options).evaluate(trained, stream(self.effort.seed, "testing", "evaluation"))
        return Measured(outcome, changed)

    @cached_property
    def first(self) -> Measured:
        """What it returns for a model that nothing else was measured on."""
        return self.measured(self.trained())


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


def _first(split: Split, size: int) -> Split:
    labels, causes = (None if tensor is None else tensor[:size].clone() for tensor in (split.labels, split.causes))
    return Split(split.images[:size].clone(), labels, causes)


def _other(split: Split, pixels: str) -> Split:
    """Other images of the same kind, other labels and other causes."""
    mirrored = {"unit": 1 - split.images, "binary": 1 - split.images, "count": split.images.flip(0) + 1}.get(pixels, 0.5 - 1.5 * split.images)
    causes = None if split.causes is None else split.causes.flip(0)
    return Split(mirrored, None if split.labels is None else (split.labels.flip(0) + 1) % 4, causes)
