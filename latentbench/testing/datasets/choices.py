"""Splits that do not overlap, and options that choose something."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from latentbench.data.dataset import DataSet, Splits
from latentbench.data.overlap import shared_images
from latentbench.part import Options
from latentbench.testing.datasets.subject import DataSetSubject
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds


@check(
    "no image is in two splits, identical in every number; where the published splits share images, the part declares it as a deviation",
    "validation that is cut from train without removing it there, or overlapping crops and duplicates on both sides of the cut",
)
def disjoint(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Images of validation and test that are in train, and images of test that are in validation."""
    found = subject.splits
    pairs = [("train", name, *counts) for name, counts in shared_images(found).items()]
    if found.test is not None:
        pairs.append(("validation", "test", *shared_images(Splits(found.validation, found.test))["validation"]))
    for first, second, shared, images in pairs:
        yield holds(f"{shared} of {images} {second} images are in {first}, too", shared == 0)


@check("every option that is given changes what is loaded, or what the data set says of it", "an option that is accepted and not used")
def options(subject: DataSetSubject, effort: Effort) -> Iterator[Trial]:
    """Each option that differs from its default, alone."""
    if subject.plain:
        raise InapplicableError("its options are at their defaults" if subject.part.options_model.model_fields else "it has no options")
    fields, model = subject.part.options_model.model_fields, subject.part.options_model
    given = {name: value for name, value in subject.options if value != fields[name].get_default(call_default_factory=True)}
    cache = Path(subject.shared.name)
    plain = _digest(subject.part(), cache)
    for name, value in given.items():
        alone = _validated(model, {name: value}) or subject.options  # an option may need another
        changes = _digest(subject.part(alone), cache) != plain
        yield holds(f"{name} = {value!r} {'has an effect' if changes else 'changes nothing'}", changes)


def _validated(model: type[Options], values: dict[str, Any]) -> Options | None:
    try:
        return model.model_validate(values)
    except ValidationError:
        return None


def _digest(dataset: DataSet, cache: Path) -> str:
    """A hash of what a data set says and loads."""
    digest = hashlib.blake2b(repr((dataset.data_shape, dataset.pixels, sorted(dataset.sources().items()))).encode())
    for name, split in dataset.load(cache).items():
        digest.update(name.encode())
        for tensor in (split.images, split.labels, split.causes):
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
