"""What an evaluation returned as single entries, and which of them two evaluations do not share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor

from latentbench.evaluation.outcome import Outcome
from latentbench.testing.law import Trial, holds

DATA = ("train", "validation", "test")


@dataclass(frozen=True)
class Entry:
    """A number with its error, numbers by unit or image, or an array; `split` is None for an array or a picture."""

    split: str | None
    value: Any

    def same(self, other: Entry) -> bool:
        """Whether both are equal; what is no number equals itself."""
        if isinstance(self.value, Tensor) and isinstance(other.value, Tensor):
            one, two = self.value, other.value
            return one.shape == two.shape and bool(torch.allclose(one.double(), two.double(), rtol=0, atol=0, equal_nan=True))
        return repr(self.value) == repr(other.value)


def entries(outcome: Outcome) -> dict[str, Entry]:
    """All that an evaluation returned, by a name for messages."""
    found = {}
    for metric in outcome.metrics:
        place = "" if metric.index is None else f" at {metric.index_name} {metric.index:g}"
        found[f"{metric.name} on {metric.split}{place}"] = Entry(metric.split, astuple(metric))
    found |= {f"{unit.name} of units on {unit.split}": Entry(unit.split, unit.values) for unit in outcome.units}
    found |= {f"{image.name} of images on {image.split}": Entry(image.split, image.values) for image in outcome.images}
    found |= {f"the array '{name}'": Entry(None, array) for name, array in outcome.arrays.items()}
    return found | {f"the picture '{name}'": Entry(None, picture) for name, picture in outcome.pictures.items()}


def differing(one: Mapping[str, Entry], other: Mapping[str, Entry]) -> list[str]:
    """The names of entries that differ, or that only one has."""
    return sorted(name for name in one.keys() | other.keys() if name not in one or name not in other or not one[name].same(other[name]))


def equal(one: Mapping[str, Entry], other: Mapping[str, Entry], how: str) -> Trial:
    """A comparison of what two evaluations returned; `how` says when the second was made."""
    found = differing(one, other)
    examples = "".join(f"; {name}: {_short(one.get(name))}, then {_short(other.get(name))}" for name in found[:2])
    return holds(f"{len(found)} of {len(one)} entries differ {how}{examples}", not found)


def _short(entry: Entry | None) -> str:
    if entry is None:
        return "absent"
    if isinstance(entry.value, tuple):
        return f"{entry.value[1]:.6g}"
    return f"{list(entry.value.shape)} with the mean {float(entry.value.double().mean()):.6g}"
