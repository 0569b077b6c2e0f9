"""`cifar16`: 16x16 grey patches of CIFAR-10 (Krizhevsky 2009), prepared as in the paper."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from latentbench.api import Progress, Source, UserError, stream
from latentbench_datasets.patches import GREY, PAPER_2026_PATCHES, PAPER_PATCHES, PatchDataSet, prepare

HOME = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SIDE, ROW = 32, 1 + 3 * 32 * 32
"""Side of an image in pixels; bytes of one in the binary version: its class, then red, green and blue planes."""
CROP, MARGIN, CROPS = 20, 2, 4
"""Side of a random crop, the pixels cut from each of its sides when it is processed, and crops an image."""
BATCHES = {
    "data_batch_1": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
"""The md5 of the binary version, which the Python version gives too when its rows are put in one order."""


class _Arrays(pickle.Unpickler):
    """Unpickles numpy arrays and plain values, and nothing else: a data file cannot run code."""

    allowed = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        """Only what an array is made of."""
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, and only arrays are read")
        return super().find_class(module.replace("numpy.core", "numpy._core") if hasattr(np, "_core") else module, name)


def read_binary(path: Path) -> bytes:
    """The rows of a file of the binary version.

    Raises:
        UserError: its length is not that of whole rows.
    """
    content = path.read_bytes()
    if not content or len(content) % ROW:
        raise UserError(f"{path} is cut short, or no file of CIFAR-10's binary version: {len(content)} bytes are not whole images of {ROW} bytes")
    return content


def read_python(path: Path) -> bytes:
    """The rows of a file of the Python version, as the binary version has them.

    Raises:
        UserError: it is no such file.
    """
    try:
        batch = _Arrays(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        rows = np.concatenate([np.asarray(batch[b"labels"], dtype=np.uint8)[:, None], np.asarray(batch[b"data"], dtype=np.uint8)], axis=1)
    except Exception as error:  # a damaged pickle can fail in any way
        raise UserError(f"{path} is damaged, or no file of CIFAR-10's Python version: {type(error).__name__}: {error}") from error
    return rows.tobytes()


def _source(name: str, md5: str) -> Source:
    forms: dict[str, Callable[[Path], bytes]] = {f"cifar-10-batches-bin/{name}.bin": read_binary, f"cifar-10-batches-py/{name}": read_python}
    return Source(forms, md5, HOME)


def grey_images(content: bytes) -> Tensor:
    """The images of a file as grey values [N, 32, 32]: .2989 R + .587 G + .114 B, not rounded."""
    rgb = np.frombuffer(content, dtype=np.uint8).reshape(-1, ROW)[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return torch.einsum("c,nchw->nhw", torch.tensor(GREY, dtype=torch.float64), torch.from_numpy(rgb.astype(np.float64)))


def random_crops(images: Tensor, generator: torch.Generator) -> Tensor:
    """Four crops of every image [4N, 20, 20], an image's one after the other; both coordinates of a corner are uniform on 0 to 12."""
    corners = torch.randint(SIDE - CROP + 1, (len(images), CROPS, 2), generator=generator)
    pixel = torch.arange(CROP)
    rows, columns = corners[..., :1] + pixel, corners[..., 1:] + pixel  # [N, 4, 20]
    image = torch.arange(len(images))[:, None, None, None]
    return images[image, rows[..., :, None], columns[..., None, :]].flatten(0, 1)


class Cifar16(PatchDataSet):
    """Four random 20x20 crops an image, each whitened, contrast-normalised and z-scored by itself, then cut to 16x16.

    200,000 patches of the 50,000 training images; 40,000 of the 10,000 test images, which are the validation split, as in the paper.
    """

    name = "cifar16"
    protocols = {"paper": {**PAPER_PATCHES, "training.epochs": 1500}, "paper-2026": {**PAPER_2026_PATCHES, "training.epochs": 1500}}
    files: ClassVar[Sequence[Source]] = tuple(_source(name, md5) for name, md5 in BATCHES.items())

    def make(self, cache: Path, progress: Progress) -> dict[str, Tensor]:
        """Read, cut and process the images."""
        generator = stream(0, "cifar16", self.version)
        parts = []
        for done, source in enumerate(self.files):
            progress(f"{self.name}: {source.name}", done, len(self.files))
            parts.append(prepare(random_crops(grey_images(source.read(cache)), generator), MARGIN, centred_filter=self.centred_filter))
        progress(f"{self.name}: prepared", len(self.files), len(self.files))
        return {"train": torch.cat(parts[:-1]), "validation": parts[-1]}


class Cifar16Centred(Cifar16):
    """The same crops, whitened with the textbook filter, whose frequencies are measured from zero."""

    name = "cifar16_centred"
    centred_filter = True
