"""`van_hateren`: 16x16 patches of the 101 natural images of the DOVES set (van Hateren & van der Schaaf 1998; van der Linde et al. 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files as package_files
from pathlib import Path, PurePath
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from latentbench.api import Options, Progress, Source, UserError, added
from latentbench_datasets.patches import ITERATIVE_PATCHES, PAPER_2026_PATCHES, PAPER_PATCHES, PatchDataSet, last_fifths, prepare

HOME = "http://bethgelab.org/media/uploads/vanhateren"
TRAIN_IMAGES = 80
HEIGHT, WIDTH = 768, 1024
"""The crop of an image that DOVES uses."""
IML_HEIGHT, IML_WIDTH, IML_CROP = 1024, 1536, (slice(128, 896), slice(256, 1280))
TILE, MARGIN = 24, 4
"""Side of a tile, and the pixels cut from each of its sides when it is processed."""


def read_iml(path: Path) -> bytes:
    """The crop [768, 1024] of an original image, as big-endian 16-bit numbers.

    Raises:
        UserError: the file has another length than 1536 x 1024 such numbers.
    """
    content = path.read_bytes()
    if len(content) != 2 * IML_HEIGHT * IML_WIDTH:
        raise UserError(f"{path} is cut short, or no .iml file: {len(content)} bytes, expected {2 * IML_HEIGHT * IML_WIDTH}")
    return np.frombuffer(content, dtype=">u2").reshape(IML_HEIGHT, IML_WIDTH)[IML_CROP].tobytes()


def read_png(path: Path) -> bytes:
    """The pixels of a 16-bit grey PNG of the crop, as big-endian 16-bit numbers.

    Raises:
        UserError: it is damaged, or has another size or kind of pixels.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            kind, size = image.mode, image.size
            pixels = np.asarray(image)
    except PermissionError:
        raise
    except Exception as error:  # Pillow has many errors of its own for what is no picture
        raise UserError(f"{path} is damaged, or no PNG: {error}") from error
    if not kind.startswith("I") or size != (WIDTH, HEIGHT):
        raise UserError(f"{path} is a PNG of mode {kind} with {size[0]}x{size[1]} pixels; expected 16-bit grey with {WIDTH}x{HEIGHT}")
    return pixels.astype(">u2").tobytes()


def _sources() -> tuple[Source, ...]:
    """The 101 images in the order of their numbers; `van_hateren.md5` has the hash of each crop's big-endian pixels."""
    lines = (package_files("latentbench_datasets") / "van_hateren.md5").read_text(encoding="ascii").split("\n")
    pairs = [line.split() for line in lines if line]
    return tuple(Source({f"van_hateren/{name}.iml": read_iml, f"van_hateren/{name}.png": read_png}, md5, f"{HOME}/{name}.iml") for md5, name in pairs)


def tiles_of(content: bytes) -> Tensor:
    """The 32 x 42 = 1,344 tiles [1344, 24, 24] of an image that do not overlap, row by row."""
    pixels = torch.from_numpy(np.frombuffer(content, dtype=">u2").astype(np.float64)).view(HEIGHT, WIDTH)
    return pixels.unfold(0, TILE, TILE).unfold(1, TILE, TILE).reshape(-1, TILE, TILE)


class VanHaterenOptions(Options):
    """Options of `van_hateren`."""

    preparation: Literal["paper", "iterative"] = added(
        "paper",
        neutral="paper",
        description="Split by image; or as for iterative VAEs: z-scored as a whole, ten blocks, the last fifth of each validation.",
    )


class VanHateren(PatchDataSet):
    """24x24 tiles of linear intensities, each whitened, contrast-normalised and z-scored by itself, then cut to 16x16.

    Split by image, as in the paper: 107,520 patches of the first 80 images for training, 28,224 of the last 21 for validation. With
    `preparation: iterative` all patches together get mean 0 and standard deviation 1, and are split in ten blocks: 108,593 and 27,151 patches.
    """

    name = "van_hateren"
    options_model: ClassVar[type[Options]] = VanHaterenOptions
    protocols = {
        "paper": {**PAPER_PATCHES, "training.epochs": 3000},
        "paper-2026": {**PAPER_2026_PATCHES, "training.epochs": 3000},
        "iterative": {**ITERATIVE_PATCHES, "training.epochs": 300},
    }
    files: ClassVar[Sequence[Source]] = _sources()

    def make(self, cache: Path, progress: Progress) -> dict[str, Tensor]:
        """Read, cut and process the images."""
        parts = []
        for done, source in enumerate(self.files):
            progress(f"{self.name}: {PurePath(source.name).stem}", done, len(self.files))
            parts.append(prepare(tiles_of(source.read(cache)), MARGIN, centred_filter=self.centred_filter))
        progress(f"{self.name}: prepared", len(self.files), len(self.files))
        assert isinstance(self.options, VanHaterenOptions)
        if self.options.preparation == "iterative":
            return last_fifths(torch.cat(parts))
        return {"train": torch.cat(parts[:TRAIN_IMAGES]), "validation": torch.cat(parts[TRAIN_IMAGES:])}


class VanHaterenCentred(VanHateren):
    """The same tiles, whitened with the textbook filter, whose frequencies are measured from zero."""

    name = "van_hateren_centred"
    centred_filter = True
