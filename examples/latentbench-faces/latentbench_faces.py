"""`faces`: the Olivetti faces (Samaria & Harter 1994), 400 grey photographs of 40 people, in the form that Sam Roweis published."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import avg_pool2d

from latentbench import hookimpl
from latentbench.api import DataSet, Options, Pixels, Source, Split, Splits, UserError

PEOPLE, PICTURES, SIDE = 40, 10, 64
"""People, photographs of each, and the side of one in pixels."""


class FacesOptions(Options):
    """Options of `faces`."""

    side: Literal[64, 32, 16] = Field(32, description="Side of an image in pixels; the published 64 are averaged in squares.")
    held_out: Literal["pictures", "people"] = Field(
        "pictures", description="The validation split: the last two pictures of everyone, or all pictures of the last eight people."
    )


def photographs(content: bytes) -> Tensor:
    """The photographs [400, 64, 64] of the MATLAB file, grey values from 0 (darkest of all) to 1 (brightest).

    Raises:
        UserError: it is no MATLAB file, or has other contents.
    """
    from scipy.io import loadmat

    try:
        found = loadmat(io.BytesIO(content), variable_names=["faces"])  # type: ignore[arg-type]  # scipy reads open files too
        faces: Tensor = torch.as_tensor(found["faces"].astype("float32"))  # [4096, 400], an image a column
    except Exception as error:  # a damaged file can fail in any way
        raise UserError(f"olivettifaces.mat is damaged, or not the published MATLAB file: {type(error).__name__}: {error}") from error
    if faces.shape != (SIDE * SIDE, PEOPLE * PICTURES):
        raise UserError(f"olivettifaces.mat has faces of shape {tuple(faces.shape)}, expected {(SIDE * SIDE, PEOPLE * PICTURES)}")
    low, high = faces.aminmax()
    images: Tensor = ((faces - low) / (high - low)).T.unflatten(1, (SIDE, SIDE))
    return images.transpose(1, 2).contiguous()  # columns first, as MATLAB has them


class Faces(DataSet):
    """Faces, pixels in [0, 1]; labels are the 40 people. As scikit-learn's `fetch_olivetti_faces` has them, at half their side by default.

    320 images are for training and 80 for validation. The file is downloaded once, unless LATENTBENCH_DATA names a folder that has it
    as faces/olivettifaces.mat.
    """

    name = "faces"
    options_model = FacesOptions
    data_shape = (1, 32, 32)
    pixels: Pixels = "unit"
    labelled = True
    defaults = {"likelihood": "gaussian"}
    files: ClassVar[Sequence[Source]] = (
        Source(
            {"faces/olivettifaces.mat": Path.read_bytes},
            url="https://ndownloader.figshare.com/files/5976027",
            sha256="b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794",
        ),
    )

    def __init__(self, options: Options | None = None) -> None:
        super().__init__(options)
        assert isinstance(self.options, FacesOptions)
        self.side, self.held_out = self.options.side, self.options.held_out
        self.data_shape = (1, self.side, self.side)

    def load(self, cache: Path) -> Splits:
        """Check and read the file; there is nothing to cache."""
        (source,) = self.files
        images = avg_pool2d(photographs(source.read(cache)).unsqueeze(1), SIDE // self.side)  # [400, 1, side, side]
        person, picture = torch.arange(len(images)) // PICTURES, torch.arange(len(images)) % PICTURES
        held_out = picture >= PICTURES - 2 if self.held_out == "pictures" else person >= PEOPLE - 8
        return Splits(*(Split(images[part], person[part]) for part in (~held_out, held_out)))


@hookimpl
def register_datasets() -> list[type[DataSet]]:
    """Register `faces`."""
    return [Faces]
