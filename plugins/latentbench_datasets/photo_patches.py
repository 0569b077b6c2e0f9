"""`photo_patches`: 16x16 grey patches of the two photographs that ship inside scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentbench.api import DataSet, Split, Splits, UserError, cached, sha256_of
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


class PhotoPatches(DataSet):
    """Overlapping 24x24 tiles, stride 5, each whitened, contrast-normalised and z-scored by itself, then cut to 16x16.

    Each photograph is a grid of 4 x 5 regions. Four regions, one in each row, are for validation: their pixels are in no training patch.
    """

    name = "photo_patches"
    data_shape = (1, 16, 16)
    defaults = {"likelihood": "gaussian"}

    def sources(self) -> Mapping[str, str]:
        """The hashes of both photographs."""
        return {name: sha256_of(scikit_learn_file("images", name)) for name in PHOTOGRAPHS}

    def load(self, cache: Path) -> Splits:
        """The patches, prepared once and cached."""
        patches = cached(cache, recipe_key(self), type(self), self._prepare)
        return Splits(Split(self._finish(patches["train"])), Split(self._finish(patches["validation"])))

    def _prepare(self) -> dict[str, Tensor]:
        tiles: dict[str, list[Tensor]] = {"train": [], "validation": []}
        for name in PHOTOGRAPHS:
            photograph = read_grey(scikit_learn_file("images", name))
            for row in range(ROWS):
                for column in range(COLUMNS):
                    split = "validation" if column == (2 * row + 1) % COLUMNS else "train"
                    tiles[split].append(tiles_of(region(photograph, row, column)))
        return {split: prepare(torch.cat(parts), CROP) for split, parts in tiles.items()}

    def _finish(self, patches: Tensor) -> Tensor:
        return patches


class PhotoPatchesBinary(PhotoPatches):
    """The same patches, 1 where a pixel is brighter than its tile's mean, for the Bernoulli likelihood."""

    name = "photo_patches_binary"
    pixels = "binary"
    defaults = {"likelihood": "bernoulli"}

    def _finish(self, patches: Tensor) -> Tensor:
        return (patches > 0).to(patches.dtype)


def read_grey(path: Path) -> Tensor:
    """A photograph as grey values [H, W], .2989 R + .587 G + .114 B, not rounded."""
    from PIL import Image

    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB"), dtype=np.float64)
    return torch.from_numpy(rgb @ np.array(GREY))


def region(photograph: Tensor, row: int, column: int) -> Tensor:
    """One cell of the grid of regions."""
    height, width = photograph.shape[0] // ROWS, photograph.shape[1] // COLUMNS
    return photograph[row * height : (row + 1) * height, column * width : (column + 1) * width]


def tiles_of(pixels: Tensor) -> Tensor:
    """All tiles of a region [N, 24, 24], less those of a single grey value, which have no contrast to normalise."""
    tiles = pixels.unfold(0, TILE, STRIDE).unfold(1, TILE, STRIDE).reshape(-1, TILE, TILE)
    return tiles[tiles.flatten(1).std(1) > 0]
