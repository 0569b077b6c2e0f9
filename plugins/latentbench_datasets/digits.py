"""`digits`: the 1,797 8x8 handwritten digits that ship inside scikit-learn (Alpaydin & Kaynak 1998)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentbench.api import DataSet, Pixels, Split, Splits, sha256_of, stream
from latentbench_datasets.photo_patches import scikit_learn_file

FILE = "digits.csv.gz"
TRAIN = 1437


class Digits(DataSet):
    """Pixels in [0, 1] (counts of 0 to 16, divided by 16). 1,437 digits for training and 360 for validation, by a fixed permutation."""

    name = "digits"
    data_shape = (1, 8, 8)
    pixels: Pixels = "unit"
    labelled = True
    defaults = {"likelihood": "gaussian"}

    def sources(self) -> Mapping[str, str]:
        """The hash of scikit-learn's file."""
        return {FILE: sha256_of(scikit_learn_file("data", FILE))}

    def load(self, cache: Path) -> Splits:
        """Read the file; there is nothing to cache."""
        table = torch.from_numpy(np.loadtxt(scikit_learn_file("data", FILE), delimiter=",", dtype=np.float32))
        table = table[torch.randperm(len(table), generator=stream(0, "digits", self.version))]
        images, labels = self._finish(table[:, :-1].reshape(-1, *self.data_shape) / 16), table[:, -1].long()
        return Splits(Split(images[:TRAIN], labels[:TRAIN]), Split(images[TRAIN:], labels[TRAIN:]))

    def _finish(self, images: Tensor) -> Tensor:
        return images


class DigitsBinary(Digits):
    """The same digits, 1 where a pixel is at least half full, for the Bernoulli likelihood."""

    name = "digits_binary"
    pixels = "binary"
    defaults = {"likelihood": "bernoulli"}

    def _finish(self, images: Tensor) -> Tensor:
        return (images >= 0.5).to(images.dtype)
