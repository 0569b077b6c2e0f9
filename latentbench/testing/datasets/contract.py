"""What a data set says of its items, and what it loads: shapes, types, kinds of numbers, labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import torch
from torch import Tensor

from latentbench.contract import described
from latentbench.data.dataset import DataSet, Pixels, Split, Splits
from latentbench.testing.datasets.subject import DataSetSubject
from latentbench.testing.law import Effort, Trial, check, holds


def _said(dataset: DataSet) -> tuple[object, ...]:
    return dataset.data_shape, dataset.pixels, dataset.labelled, dataset.has_test, dataset.has_truth


@check(
    "data_shape, pixels, labelled, has_test and has_truth are known before anything is loaded, and loading does not change them",
    "a shape that is taken from the loaded images, or an attribute that `load` sets",
)
def declared(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """What an instance says before it has loaded anything, and after."""
    dataset = subject.made()
    shape, pixels, labelled, has_test, has_truth = _said(dataset)
    yield holds(f"data_shape {shape!r}", isinstance(shape, tuple) and shape and all(type(side) is int and side > 0 for side in shape))
    yield holds(f"pixels {pixels!r}", pixels in get_args(Pixels))
    switches = {"labelled": labelled, "has_test": has_test, "has_truth": has_truth}
    yield holds(", ".join(f"{name} {value!r}" for name, value in switches.items()), all(isinstance(value, bool) for value in switches.values()))
    if not subject.missing:
        before = _said(dataset)
        subject.load_again(dataset)
        yield holds(f"before loading {before}, afterwards {_said(dataset)}", _said(dataset) == before)


@check(
    "load returns Splits of train, validation and, where has_test says so, test; none is empty",
    "a tuple in place of `Splits`, or has_test of another version of the data",
)
def splits(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Classes, and which splits there are."""
    found: object = subject.splits
    yield holds(f"load returned {described(found)}, expected Splits", isinstance(found, Splits))
    if not isinstance(found, Splits):
        return
    yield holds(f"test is {described(found.test)}, has_test = {subject.made().has_test}", (found.test is not None) == subject.made().has_test)
    for name, split in found.items():
        yield holds(f"{name} is {described(split)}, expected Split", isinstance(split, Split))
        yield holds(f"{name}: {len(split.images)} images", len(split.images) > 0)


@check("the images of every split are [N, *data_shape]", "a channel's axis that is missing or last, or flat images whose data_shape is not")
def shapes(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Shapes of the images."""
    wanted = subject.made().data_shape
    for name, split in subject.splits.items():
        yield holds(f"{name}: {list(split.images.shape)}, expected [N, {', '.join(map(str, wanted))}]", split.images.shape[1:] == torch.Size(wanted))


@check("images are float32 on the CPU", "numpy's float64, or bytes that were not converted")
def dtypes(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Types and devices of the images."""
    for name, split in subject.splits.items():
        kind = f"{split.images.dtype} on {split.images.device}".removeprefix("torch.")
        yield holds(f"{name}: {kind}", split.images.dtype == torch.float32 and split.images.device.type == "cpu")


@check(
    "numbers are finite and of the kind that `pixels` says: `unit` in [0, 1], `binary` 0 or 1, `count` 0, 1, 2, ...; images are not all alike",
    "a division by 255 that is missing or made twice, z-scores that are called `unit`, or a constant image that was divided by its deviation",
)
def pixels(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Range and kind of the numbers."""
    kind = subject.made().pixels
    for name, split in subject.splits.items():
        images = split.images
        bad = int((~images.isfinite()).sum())
        low, high = (float(end) for end in images.aminmax())
        yield holds(f"{name}: {bad} of {images.numel()} numbers are not finite", bad == 0)
        yield holds(f"{name}: numbers from {low:g} to {high:g}{_broken(images, kind)}, pixels = '{kind}'", not _broken(images, kind))
        yield holds(f"{name}: {len(images)} images that are all alike", len(images) == 1 or bool((images != images[:1]).any()))


def _broken(images: Tensor, kind: str) -> str:
    """How numbers are not of a kind, as a clause; empty where they are."""
    rules = {
        "unit": (images < 0) | (images > 1),
        "binary": (images != 0) & (images != 1),
        "count": (images < 0) | (images != images.round()),
    }
    wrong = int(rules[kind].sum()) if kind in rules else 0
    return f", {wrong} of which are not" if wrong else ""


@check(
    "labels are int64 [N] where the class says `labelled`, else None; there are two classes at least, and every class of another split is in train",
    "labels of another type, or splits that were cut from data sorted by class",
)
def labels(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Types and classes of the labels."""
    labelled, found = subject.made().labelled, dict(subject.splits.items())
    for name, split in found.items():
        what = f"{name}: {described(split.labels)}, {len(split.images)} images, labelled = {labelled}"
        yield holds(what, _is_vector(split.labels, len(split.images)) if labelled else split.labels is None)
    known = found["train"].labels
    if not (labelled and isinstance(known, Tensor)):
        return
    classes = known.unique()
    yield holds(f"train: {len(classes)} classes", len(classes) > 1)
    for name, split in found.items():
        unknown = [] if split.labels is None else split.labels[~torch.isin(split.labels, classes)].unique().tolist()
        yield holds(f"{name}: classes that train lacks: {unknown[:5] or 'none'}", not unknown)


def _is_vector(value: object, length: int) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.int64 and value.shape == (length,)
