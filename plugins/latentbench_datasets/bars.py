"""`bars`: images of independent horizontal and vertical bars (Foldiak 1990), with the bars that are in each."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from latentbench.api import DataSet, Options, Split, Splits, stream
from latentbench_datasets.synthetic import SyntheticOptions


class BarsOptions(SyntheticOptions):
    """Options of `bars`."""

    size: int = Field(8, ge=2, le=64, description="Rows, and columns, of an image.")
    probability: float = Field(0.125, gt=0, lt=1, description="Probability of each bar.")
    intensity: float = Field(1.0, gt=0, description="Value of a pixel on a bar; others are 0.")


class Bars(DataSet):
    """Each of the 2 `size` bars is there with the same probability, independently; a pixel is bright if a bar covers it, however many do.

    The causes [N, 2 size] are 1 for bars that are there, rows first; the dictionary has the image of each bar alone. Bars that cross do not add up,
    so that the dictionary's sums are too bright where they do. With `noise: 0` images repeat, within splits and between them.
    """

    name = "bars"
    options_model = BarsOptions
    data_shape: tuple[int, ...] = (1, 8, 8)
    defaults = {"likelihood": "gaussian"}
    has_test = True
    has_truth = True

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        assert isinstance(self.options, BarsOptions)
        self.chosen = self.options
        self.data_shape = (1, self.chosen.size, self.chosen.size)

    def load(self, cache: Path) -> Splits:
        """Draw every split from its own stream; there is nothing to cache."""
        o = self.chosen
        return Splits(
            *(self._split(name, n) for name, n in o.images.items()), dictionary=o.intensity * one_bar_each(o.size).flatten(1).T.contiguous()
        )

    def _split(self, name: str, n: int) -> Split:
        o, generator = self.chosen, stream(self.chosen.seed, self.name, self.version, name)
        there = torch.rand(n, 2 * o.size, generator=generator) < o.probability
        rows, columns = there.chunk(2, 1)
        covered = rows[:, :, None] | columns[:, None, :]  # [N, size, size]
        noise = torch.randn(covered.shape, generator=generator)
        return Split((o.intensity * covered + o.noise * noise).unsqueeze(1), causes=there.float())


def one_bar_each(size: int) -> Tensor:
    """Images [2 size, size, size] with one bar of ones each, rows first."""
    rows = torch.eye(size)[:, :, None].expand(size, size, size)
    return torch.cat([rows, rows.mT])
