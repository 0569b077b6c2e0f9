"""Data sets: the paper's, two that need no download, binary versions for the Bernoulli likelihood, and two whose truth is known."""

from latentbench import hookimpl
from latentbench.api import DataSet
from latentbench_datasets.bars import Bars
from latentbench_datasets.cifar import Cifar16, Cifar16Centred
from latentbench_datasets.digits import Digits, DigitsBinary
from latentbench_datasets.mnist import FashionMnist, Mnist, MnistBinary
from latentbench_datasets.photo_patches import PhotoPatches, PhotoPatchesBinary
from latentbench_datasets.sparse_synthetic import SparseSynthetic
from latentbench_datasets.van_hateren import VanHateren, VanHaterenCentred


@hookimpl
def register_datasets() -> list[type[DataSet]]:
    """Register them all."""
    return [
        *(Digits, DigitsBinary, PhotoPatches, PhotoPatchesBinary),
        *(Mnist, MnistBinary, FashionMnist),
        *(Cifar16, Cifar16Centred, VanHateren, VanHaterenCentred),
        *(Bars, SparseSynthetic),
    ]
