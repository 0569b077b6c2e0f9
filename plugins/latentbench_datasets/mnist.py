"""`mnist`, `fashion_mnist` and binarised MNIST: 60,000 + 10,000 images of 28x28 pixels in the idx format."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from latentbench.api import DataSet, Pixels, Source, Split, Splits, UserError

IMAGES, LABELS = 0x00000803, 0x00000801
"""Magic numbers: unsigned bytes in three dimensions, and in one."""

GZIPPED = b"\x1f\x8b"
HOME = "https://storage.googleapis.com/cvdf-datasets/mnist"
FASHION_HOME = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"

PAPER = {
    "training.epochs": 1200,
    "training.batch_size": 200,
    "training.learning_rate": 0.002,
    "training.warmup": "5 epochs",
    "training.restarts": 2,
    "training.grad_clip": 1000.0,
    "training.weight_decay": 3e-4,
}
"""The authors' code of November 2024, with which the paper's figures agree."""
PAPER_2026 = {"training.epochs": 400, "training.batch_size": 100, "training.learning_rate": 0.002, "training.grad_clip": 1000.0}
"""Their code of February 2026; its warm-up of 1 % of the run is the default."""
ITERATIVE = {"training.epochs": 400, "training.batch_size": 100, "training.learning_rate": 0.002, "training.grad_clip": 3000.0}
"""Training of iterative VAEs (the code of Vafaii et al. 2025)."""


def read_idx(path: Path, magic: int) -> bytes:
    """The content of an idx file, gzipped or not.

    Raises:
        UserError: it is no such file, or is cut short.
    """
    raw = path.read_bytes()
    try:
        content = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path} is damaged, or cut short: {error}") from error
    if len(content) < header_length(magic):
        raise UserError(f"{path} is cut short, or no idx file: it holds {len(content)} bytes, and its header alone has {header_length(magic)}")
    found = int.from_bytes(content[:4], "big")
    if found != magic:
        raise UserError(f"{path} is not the idx file that it should be: its magic number is {found:#010x}, expected {magic:#010x}")
    expected = header_length(magic) + int(np.prod(shape_of(content)))
    if len(content) != expected:
        raise UserError(f"{path} is cut short or too long: it holds {len(content)} bytes, and its header says {expected}")
    return content


def header_length(magic: int) -> int:
    """Bytes before the data: the magic number, and four for each dimension."""
    return 4 + 4 * (magic & 0xFF)


def shape_of(content: bytes) -> tuple[int, ...]:
    """The dimensions that an idx header states."""
    return tuple(int(n) for n in np.frombuffer(content, dtype=">u4", count=content[3], offset=4))


def array_of(content: bytes) -> Tensor:
    """The data of an idx file, gzipped or not, as a tensor of bytes."""
    content = gzip.decompress(content) if content[:2] == GZIPPED else content
    data = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * content[3])
    return torch.from_numpy(data.copy()).view(shape_of(content))


def _read(path: Path) -> bytes:
    return read_idx(path, IMAGES if "images" in path.name else LABELS)


def _checked_archive(path: Path) -> bytes:
    _read(path)
    return path.read_bytes()  # published hashes are those of the archive


class Mnist(DataSet):
    """Handwritten digits, pixels in [0, 1], not binarised (LeCun, Cortes & Burges 1998).

    As in the paper, the official test images are the validation split, and there is no third one.
    """

    name = "mnist"
    data_shape = (1, 28, 28)
    pixels: Pixels = "unit"
    labelled = True
    defaults = {"likelihood": "gaussian"}
    protocols = {"paper": PAPER, "paper-2026": PAPER_2026, "iterative": ITERATIVE}
    files: ClassVar[Sequence[Source]] = tuple(
        Source({f"mnist/{name}.gz": _read, f"mnist/{name}": _read}, md5, f"{HOME}/{name}.gz")
        for name, md5 in {
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        }.items()
    )

    def load(self, cache: Path) -> Splits:
        """Read the four files; there is nothing to cache."""
        train_images, train_labels, test_images, test_labels = (array_of(source.read(cache)) for source in self.files)
        return Splits(self._split(train_images, train_labels), self._split(test_images, test_labels))

    def _split(self, images: Tensor, labels: Tensor) -> Split:
        if len(images) != len(labels):
            raise UserError(f"data set '{self.name}': {len(images)} images have {len(labels)} labels")
        return Split(self._finish(images.unsqueeze(1).float() / 255), labels.long())

    def _finish(self, images: Tensor) -> Tensor:
        return images


class MnistBinary(Mnist):
    """The same digits, 1 where a pixel is at least half full, for the Bernoulli likelihood."""

    name = "mnist_binary"
    pixels = "binary"
    defaults = {"likelihood": "bernoulli"}
    deviations = {"disjoint": "9 of the 10,000 validation images are equal to images of train once their pixels are binary"}

    def _finish(self, images: Tensor) -> Tensor:
        return (images >= 0.5).to(images.dtype)


class FashionMnist(Mnist):
    """Articles of clothing in MNIST's format and sizes (Xiao, Rasul & Vollgraf 2017); the test images are the validation split."""

    name = "fashion_mnist"
    files = tuple(
        Source({f"fashion_mnist/{name}.gz": _checked_archive}, md5, f"{FASHION_HOME}/{name}.gz")
        for name, md5 in {
            "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
        }.items()
    )
