"""Data sets: `digits`, `photo_patches` and their binary versions."""

from latentbench import hookimpl
from latentbench.dataset import DataSet
from latentbench_datasets.digits import Digits, DigitsBinary
from latentbench_datasets.mnist import Mnist, MnistBinary
from latentbench_datasets.photo_patches import PhotoPatches, PhotoPatchesBinary


@hookimpl
def register_datasets() -> list[type[DataSet]]:
    """Register all four."""
    return [Digits, DigitsBinary, Mnist, MnistBinary, PhotoPatches, PhotoPatchesBinary]
