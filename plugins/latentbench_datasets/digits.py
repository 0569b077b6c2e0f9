"""`digits`: the 1,797 8x8 handwritten digits that ship inside scikit-learn (Alpaydin & Kaynak 1998)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from latentbench.api import Assembly, DataSet, Options, Pixels, Split, Splits, added, sha256_of, stream
from latentbench_datasets.photo_patches import scikit_learn_file

FILE = "digits.csv.gz"
TRAIN, HELD_OUT = 1437, 1617
"""Where training ends, and where validation ends that leaves half of the rest for test."""


class FlatOptions(Options):
    """Options of `digits_binary`."""

    flat: bool = added(False, neutral=False, description="Vectors [N, 64] instead of images [N, 1, 8, 8].")
    with_test: bool = added(False, neutral=False, description="Whether the second half of the 360 validation digits is a test split instead.")


class DigitsOptions(FlatOptions):
    """Options of `digits`."""

    scale: Literal["unit", "count"] = added("unit", neutral="unit", description="Pixels in [0, 1], or the counts of 0 to 16 that the file has.")


class Digits(DataSet):
    """Pixels in [0, 1] (counts of 0 to 16, divided by 16). 1,437 digits for training and 360 for validation, by a fixed permutation."""

    name = "digits"
    data_shape: tuple[int, ...] = (1, 8, 8)
    pixels: Pixels = "unit"
    labelled = True
    defaults = {"likelihood": "gaussian"}
    options_model: ClassVar[type[Options]] = DigitsOptions

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        assert isinstance(self.options, FlatOptions)
        self.has_test = self.options.with_test
        if self.options.flat:
            self.data_shape = (64,)
        if isinstance(self.options, DigitsOptions) and self.options.scale == "count":
            self.pixels = "count"

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Counts need another likelihood than the default, which is for real numbers."""
        if assembly.dataset.pixels != "count" or assembly.likelihood.name != cls.defaults["likelihood"]:
            return None
        return f"its default likelihood '{assembly.likelihood.name}' is not for counts; with scale: count give `likelihood: poisson` or another"

    def sources(self) -> Mapping[str, str]:
        """The hash of scikit-learn's file."""
        return {FILE: sha256_of(scikit_learn_file("data", FILE))}

    def load(self, cache: Path) -> Splits:
        """Read the file; there is nothing to cache."""
        table = torch.from_numpy(np.loadtxt(scikit_learn_file("data", FILE), delimiter=",", dtype=np.float32))
        table = table[torch.randperm(len(table), generator=stream(0, "digits", self.version))]
        counts, labels = table[:, :-1].reshape(-1, *self.data_shape), table[:, -1].long()
        images = counts if self.pixels == "count" else self._finish(counts / 16)
        ends = (0, TRAIN, HELD_OUT, len(images)) if self.has_test else (0, TRAIN, len(images))
        return Splits(*(Split(images[start:end], labels[start:end]) for start, end in pairwise(ends)))

    def _finish(self, images: Tensor) -> Tensor:
        return images


class DigitsBinary(Digits):
    """The same digits, 1 where a pixel is at least half full, for the Bernoulli likelihood."""

    name = "digits_binary"
    pixels = "binary"
    defaults = {"likelihood": "bernoulli"}
    options_model = FlatOptions
    deviations = {"disjoint": "10 of the 360 validation digits are equal to digits of train once their pixels are binary"}

    def _finish(self, images: Tensor) -> Tensor:
        return (images >= 0.5).to(images.dtype)
