"""The truth of synthetic data: dictionary and causes, and whether they belong to the images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from latentbench.contract import described
from latentbench.data.dataset import Split
from latentbench.testing.datasets.subject import DataSetSubject
from latentbench.testing.law import Effort, Trial, check, holds


@check(
    "where the class says `has_truth` there are a dictionary [M, L] and causes [N, L] of every split, finite float32, and an image is nearer to the "
    "sum of its causes than to that of another image's; else there are none",
    "causes of another split or order than the images', or a dictionary with its axes exchanged",
)
def truth(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Shapes and types of the truth, and the squared errors of its sums."""
    dataset, found = subject.made(), subject.splits
    dictionary, pixels = found.dictionary, torch.Size(dataset.data_shape).numel()
    if not dataset.has_truth:
        told = {"the dictionary": dictionary, **{f"causes of {name}": split.causes for name, split in found.items()}}
        yield from (holds(f"{what}: {described(value)}, has_truth = False", value is None) for what, value in told.items())
        return
    whole = _matrix(dictionary, pixels)
    yield holds(f"the dictionary is {described(dictionary)}, expected finite float32 [{pixels}, L]", whole is not None)
    for name, split in found.items():
        causes = _matrix(split.causes, len(split.images), None if whole is None else whole.shape[1])
        yield holds(f"{name}: causes are {described(split.causes)}, expected finite float32 [{len(split.images)}, L]", causes is not None)
        if causes is not None and whole is not None and len(split.images) > 1:
            yield _explains(name, split, causes @ whole.T)


def _matrix(value: object, rows: int, columns: int | None = None) -> Tensor | None:
    """The value, if it is a finite float32 matrix with that number of rows and, where it is given, of columns."""
    if not (isinstance(value, Tensor) and value.dtype == torch.float32 and value.ndim == 2 and len(value) == rows):
        return None
    return value if columns in (None, value.shape[1]) and bool(value.isfinite().all()) else None


def _explains(name: str, split: Split, sums: Tensor) -> Trial:
    """Squared errors of the sums of each image's causes and of those of the image before; pixels may saturate, so that no error is 0."""
    images = split.images.flatten(1)
    own, other = (float((images - made).square().sum(1).mean()) for made in (sums, sums.roll(1, 0)))
    return holds(f"{name}: squared error {own:.4g} with an image's causes, {other:.4g} with those of another image", own < other)
