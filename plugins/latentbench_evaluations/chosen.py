"""Which images of a split an evaluation that is too slow for all of them measures, and their streams of noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from latentbench.api import PerImage
from latentbench_evaluations.pictures import named

BATCH = 100
"""Images that are measured at once."""


@dataclass(frozen=True)
class Chosen:
    """The places [n] of images in a split of `total`, evenly spaced: the same for every model, so that models are compared on the same images."""

    places: Tensor
    total: int

    @classmethod
    def of(cls, total: int, wanted: int | None) -> Chosen:
        """`wanted` of `total` images; None is all of them."""
        n = min(wanted or total, total)
        return cls(torch.linspace(0, total - 1, n, dtype=torch.float64).round().long(), total)

    def stored(self, split: str, values: Mapping[str, Tensor]) -> tuple[Sequence[PerImage], Mapping[str, Tensor]]:
        """Numbers of each image: as those of the split where all were measured, else as arrays, with the places of their images."""
        if len(self.places) == self.total:
            return [PerImage(name, value, split) for name, value in values.items()], {}
        return [], {named(name, split): value for name, value in {"measured_images": self.places, **values}.items()}


def noise(generator: Generator, device: torch.device) -> Generator:
    """A stream on the model's device, from that of the evaluation."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.Generator(device).manual_seed(seed)
