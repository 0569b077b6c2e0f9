"""Images that are in the training split and in another one: scores on those say nothing of images that a model has not seen."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from latentbench.data.dataset import DataSet, Splits, load
from latentbench.files import cache_folder, sha256_of, write_atomically
from latentbench.part import Options


def warnings(datasets: Iterable[DataSet]) -> Iterator[str]:
    """A line for every split of the data sets that has images of the training split. Counts are cached; a data set that cannot be loaded has none."""
    cache = cache_folder()
    for dataset in datasets:
        for split, (shared, images) in _counts(dataset, cache).items():
            if shared:
                yield f"warning: data set {dataset.title}: {shared} of {images} {split} images are among the training images too"


def shared_images(splits: Splits) -> dict[str, tuple[int, int]]:
    """Split -> how many of its images are in the training split, identical in every pixel, and how many it has."""
    trained_on = set(_digests(splits.train.images))
    others = {name: split.images for name, split in splits.items() if name != "train"}
    return {name: (sum(digest in trained_on for digest in _digests(images)), len(images)) for name, images in others.items()}


def _digests(images: Tensor) -> Iterator[bytes]:
    """A hash of every image, in which -0 is 0."""
    for image in (images + 0.0).flatten(1).contiguous().numpy():
        yield hashlib.blake2b(image, digest_size=16).digest()


def _counts(dataset: DataSet, cache: Path) -> dict[str, tuple[int, int]]:
    """`shared_images` of a data set, out of the cache where they were counted before for the same recipe, code and source files."""
    try:
        path = cache / "overlap" / f"{_key(dataset)}.json"
        with suppress(OSError, ValueError, TypeError, AttributeError):  # not there, or damaged
            return {split: (shared, images) for split, (shared, images) in json.loads(path.read_text()).items()}
        counts = shared_images(load(dataset, cache))
    except Exception:  # foreign code may fail in any way; the runs that need the data set fail with it, and say why
        return {}
    with suppress(OSError):  # a later invocation counts again
        write_atomically(path, json.dumps(counts).encode())
    return counts


def _key(dataset: DataSet) -> str:
    code = sha256_of(Path(inspect.getfile(type(dataset))))
    options = dataset.chosen_options or Options()  # whose text is in the names of counts of data sets without options
    meaning = hashlib.sha256(repr((code, options, sorted(dataset.sources().items()))).encode()).hexdigest()
    return f"{dataset.name}-{dataset.version}-{meaning[:16]}"
