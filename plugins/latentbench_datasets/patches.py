"""Preparation of natural image patches: whitening, local contrast normalisation, z-score, each tile by itself (the code of Boutin et al. 2021)."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from latentbench.api import DataSet, Progress, Split, Splits, cached, silent

GREY = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue."""
CUTOFF = 0.5
"""Cut-off frequency of the whitening filter, in cycles per pixel."""
WINDOW = 13
"""Side of the window of local contrast normalisation, in pixels."""
PAPER_PATCHES = {"training.batch_size": 1000, "training.learning_rate": 0.005, "training.warmup": "5 epochs", "training.grad_clip": 500.0}
"""Training on 16x16 patches in the authors' code of November 2024, with which the paper's figures agree."""
PAPER_2026_PATCHES = {"training.batch_size": 1000, "training.learning_rate": 0.005}
"""The same in their code of February 2026; its warm-up of 1 % of the run is the default."""

ITERATIVE_PATCHES = {"training.batch_size": 200, "training.learning_rate": 0.005, "training.grad_clip": 300.0}
"""Training of iterative VAEs on 16x16 patches (the code of Vafaii et al. 2025)."""
BLOCKS = 10


class PatchDataSet(DataSet):
    """Base of data sets of 16x16 patches that are made of published files, once, and cached."""

    data_shape = (1, 16, 16)
    defaults = {"likelihood": "gaussian"}
    centred_filter: ClassVar[bool] = False

    @abstractmethod
    def make(self, cache: Path, progress: Progress) -> dict[str, Tensor]:
        """The patches `train` and `validation` [N, 1, 16, 16] from the source files."""

    def prepare(self, cache: Path, progress: Progress) -> None:
        """Read the files and make the patches, unless that was done before."""
        self._patches(cache, progress)

    def load(self, cache: Path) -> Splits:
        """The patches, prepared once and cached."""
        patches = self._patches(cache, silent)
        return Splits(Split(patches["train"]), Split(patches["validation"]))

    def _patches(self, cache: Path, progress: Progress) -> dict[str, Tensor]:
        return cached(cache, recipe_key(self), type(self), lambda: self.make(cache, progress))


def recipe_key(dataset: DataSet) -> str:
    """The name that prepared patches are cached under: data set, version of its recipe, hash of its source files, options that are not neutral."""
    hashes = hashlib.sha256(repr(sorted(dataset.sources().items())).encode()).hexdigest()
    return "-".join([dataset.name, dataset.version, hashes[:16], *(f"{key}={value}" for key, value in dataset.chosen_options.items())])


def prepare(tiles: Tensor, crop: int, chunk: int = 10_000, centred_filter: bool = False) -> Tensor:
    """Process square tiles [N, n, n] and cut `crop` pixels from each side: patches [N, 1, n - 2 crop, n - 2 crop] in float32."""
    gain = whitening_filter(tiles.shape[-1], centred_filter)
    parts = [z_score(normalise_contrast(whiten(part.double(), gain))) for part in tiles.split(chunk)]
    inner = slice(crop, tiles.shape[-1] - crop)
    return torch.cat([part[:, inner, inner].float() for part in parts]).unsqueeze(1)


def whitening_filter(n: int, centred: bool = False) -> Tensor:
    """f exp(-(f / f0)^4) on an n x n grid (Olshausen & Field 1997), as coded by Boutin et al. and used by the paper, or `centred`.

    In their code the grid of frequencies is centred, while the spectrum that it multiplies is not: f is measured from the corner of highest
    frequency rather than from zero. Results depend on it, so it is kept. The textbook's filter measures f from zero.
    """
    axis = torch.fft.fftfreq(n, dtype=torch.float64) if centred else torch.linspace(-0.5, 0.5, n, dtype=torch.float64)
    f = torch.hypot(axis[:, None], axis[None, :])
    return f * torch.exp(-((f / CUTOFF) ** 4))


def whiten(tiles: Tensor, gain: Tensor) -> Tensor:
    """Filter tiles [N, n, n] by a gain [n, n] at every frequency."""
    filtered: Tensor = torch.fft.ifft2(torch.fft.fft2(tiles) * gain).real
    return filtered


def normalise_contrast(tiles: Tensor) -> Tensor:
    """Subtract the local mean; divide by the local standard deviation, or the tile's mean of it where that is larger."""
    along = averaging(tiles.shape[-1]).to(tiles.dtype)
    centred = tiles - along @ tiles @ along.T
    deviation = (along @ centred.square() @ along.T).sqrt()
    return centred / torch.maximum(deviation, deviation.mean((1, 2), keepdim=True))


def averaging(n: int) -> Tensor:
    """The matrix [n, n] of a weighted mean along one axis, with exp(-r^2 / .5) on 13 points of [-1, 1], and zeros outside the tile.

    The Gaussian window is a product of one in each direction, so a local mean is a product with this matrix from both sides.
    """
    weights = torch.exp(-torch.linspace(-1, 1, WINDOW, dtype=torch.float64).square() / 0.5)
    offset = torch.arange(n)[None, :] - torch.arange(n)[:, None] + WINDOW // 2
    inside = (offset >= 0) & (offset < WINDOW)
    return torch.where(inside, (weights / weights.sum())[offset.clamp(0, WINDOW - 1)], 0.0)


def last_fifths(patches: Tensor) -> dict[str, Tensor]:
    """Patches [N, ...] with mean 0 and standard deviation 1 over all of them, in ten blocks: the last fifth of each, rounded, is validation.

    A block is N / 10 patches, rounded down; the last takes what remains (the code of Vafaii et al. 2025).
    """
    scaled = patches.double()
    scaled = ((scaled - scaled.mean()) / scaled.std(correction=0)).float()
    size = len(patches) // BLOCKS
    blocks = [*scaled[: (BLOCKS - 1) * size].split(size), scaled[(BLOCKS - 1) * size :]]
    cuts = [len(block) - round(len(block) / 5) for block in blocks]
    return {
        "train": torch.cat([block[:cut] for block, cut in zip(blocks, cuts, strict=True)]),
        "validation": torch.cat([block[cut:] for block, cut in zip(blocks, cuts, strict=True)]),
    }


def z_score(tiles: Tensor) -> Tensor:
    """Mean 0 and (unbiased) standard deviation 1 in every tile."""
    return (tiles - tiles.mean((1, 2), keepdim=True)) / tiles.std((1, 2), keepdim=True)
