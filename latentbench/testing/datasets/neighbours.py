"""Whether labels belong to their images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from latentbench.testing.datasets.subject import DataSetSubject
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds

NEIGHBOURS = 4000
MIN_IMAGES = 100


@check(
    "labels belong to their images: an image's nearest neighbour of a random half has the same label more often than independent labels would, by 4 "
    "standard errors",
    "labels that are shifted or shuffled against the images, or read from another split's file; labels that pixels do not tell are a deviation to "
    "declare",
)
def aligned(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Nearest neighbours between halves of at most 4,000 images of each split."""
    if not subject.made().labelled:
        raise InapplicableError("it has no labels")
    compared = {name: split for name, split in subject.splits.items() if len(split.images) >= MIN_IMAGES}
    if not compared:
        raise InapplicableError(f"no split has {MIN_IMAGES} images")
    for name, split in compared.items():
        assert split.labels is not None
        chosen = torch.randperm(len(split.images), generator=effort.generator("neighbours", name))[:NEIGHBOURS]
        yield _agreement(name, split.images[chosen].flatten(1), split.labels[chosen])


def _agreement(name: str, images: Tensor, labels: Tensor) -> Trial:
    half = len(images) // 2
    nearest = torch.cdist(images[half:], images[:half]).argmin(1)
    found = float((labels[nearest] == labels[half:]).double().mean())
    chance = float((labels.unique(return_counts=True)[1] / len(labels)).square().sum())
    bound = chance + 4 * (chance * (1 - chance) / (len(images) - half)) ** 0.5
    return holds(
        f"{name}: {found:.3f} of nearest neighbours have the same label, {chance:.3f} by chance, more than {bound:.3f} expected", found > bound
    )
