"""`photo_patches`: 16x16 patches, grey or in colour, of the two photographs that ship inside scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentbench.api import DataSet, Options, Split, Splits, UserError, added, cached, sha256_of
from latentbench_datasets.patches import GREY, prepare, recipe_key

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
TILE, CROP, STRIDE = 24, 4, 5
ROWS, COLUMNS = 4, 5
"""Every photograph is cut into a grid of regions; tiles lie wholly inside one."""


def scikit_learn_file(folder: str, name: str) -> Path:
    """A data file that ships inside scikit-learn, found without importing it.

    Raises:
        UserError: the installed scikit-learn does not have it.
    """
    spec = find_spec("sklearn")
    path = Path(next(iter(spec.submodule_search_locations or []), "")) / "datasets" / folder / name if spec else Path(name)
    if not path.is_file():
        raise UserError(f"the data file {name} that ships inside scikit-learn is missing (looked for {path}); reinstall scikit-learn")
    return path


class PhotoPatchesOptions(Options):
    """Options of `photo_patches` and `photo_patches_binary`."""

    colour: bool = added(False, neutral=False, description="Red, green and blue [N, 3, 16, 16], each prepared as the grey patches are.")
    with_test: bool = added(False, neutral=False, description="Whether the lower two of the four validation regions are a test split instead.")


class PhotoPatches(DataSet):
    """Overlapping 24x24 tiles, stride 5, each whitened, contrast-normalised and z-scored by itself, then cut to 16x16.

    In colour each channel is prepared by itself as the grey one is, so all three have the same energy; tiles with a constant channel are left out.
    Each photograph is a grid of 4 x 5 regions. Four regions, one in each row, are for validation: their pixels are in no training patch.
    """

    name = "photo_patches"
    data_shape = (1, 16, 16)
    defaults = {"likelihood": "gaussian"}
    options_model = PhotoPatchesOptions

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        assert isinstance(self.options, PhotoPatchesOptions)
        self.colour, self.has_test = self.options.colour, self.options.with_test
        self.data_shape = (3 if self.colour else 1, 16, 16)

    def sources(self) -> Mapping[str, str]:
        """The hashes of both photographs."""
        return {name: sha256_of(scikit_learn_file("images", name)) for name in PHOTOGRAPHS}

    def load(self, cache: Path) -> Splits:
        """The patches, prepared once and cached."""
        patches = cached(cache, recipe_key(self), type(self), self._prepare)
        return Splits(*(Split(self._finish(patches[name])) for name in self._names()))

    def _names(self) -> tuple[str, ...]:
        return ("train", "validation", "test") if self.has_test else ("train", "validation")

    def _split_of(self, row: int, column: int) -> str:
        if column != (2 * row + 1) % COLUMNS:
            return "train"
        return "test" if self.has_test and row >= ROWS // 2 else "validation"

    def _prepare(self) -> dict[str, Tensor]:
        tiles: dict[str, list[Tensor]] = {name: [] for name in self._names()}
        for name in PHOTOGRAPHS:
            photograph = read_photograph(scikit_learn_file("images", name), self.colour)
            for row in range(ROWS):
                for column in range(COLUMNS):
                    tiles[self._split_of(row, column)].append(tiles_of(region(photograph, row, column)))
        return {split: torch.cat([prepare(channel, CROP) for channel in torch.cat(parts).unbind(1)], dim=1) for split, parts in tiles.items()}

    def _finish(self, patches: Tensor) -> Tensor:
        return patches


class PhotoPatchesBinary(PhotoPatches):
    """The same patches, 1 where a pixel is brighter than its tile's mean (in its channel), for the Bernoulli likelihood."""

    name = "photo_patches_binary"
    pixels = "binary"
    defaults = {"likelihood": "bernoulli"}
    deviations = {"disjoint": "patches of a single edge are equal once their pixels are binary: 418 of the 2,856 grey ones, 127 in colour"}

    def _finish(self, patches: Tensor) -> Tensor:
        return (patches > 0).to(patches.dtype)


def read_photograph(path: Path, colour: bool) -> Tensor:
    """A photograph as channels [3, H, W], or as grey values [1, H, W], .2989 R + .587 G + .114 B, not rounded."""
    from PIL import Image

    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB"), dtype=np.float64)
    return torch.from_numpy(rgb).movedim(2, 0) if colour else torch.from_numpy(rgb @ np.array(GREY)).unsqueeze(0)


def region(photograph: Tensor, row: int, column: int) -> Tensor:
    """One cell of the grid of regions of a photograph [C, H, W]."""
    height, width = photograph.shape[1] // ROWS, photograph.shape[2] // COLUMNS
    return photograph[:, row * height : (row + 1) * height, column * width : (column + 1) * width]


def tiles_of(pixels: Tensor) -> Tensor:
    """All tiles of a region [N, C, 24, 24], less those with a channel of a single value, which has no contrast to normalise."""
    tiles = pixels.unfold(1, TILE, STRIDE).unfold(2, TILE, STRIDE).flatten(1, 2).transpose(0, 1)
    return tiles[(tiles.flatten(2).std(2) > 0).all(1)]
