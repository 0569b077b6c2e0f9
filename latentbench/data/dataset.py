"""Data sets: images as train, validation and, where there is one, test split."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from latentbench.contract import check_class, check_shape, described, origin
from latentbench.data.source_files import Source
from latentbench.errors import UserError
from latentbench.neutral import without_neutral
from latentbench.part import Options, Part

Pixels = Literal["real", "unit", "binary", "count"]
"""Kinds of numbers: real ones, those in [0, 1], only 0 and 1, or 0, 1, 2, ..."""
Progress = Callable[[str, int, int], None]
"""Told what is being done, how many parts of it are done, and of how many."""


def silent(doing: str, done: int, total: int) -> None:
    """Progress that is not shown."""


@dataclass(frozen=True)
class Split:
    """N images [N, C, H, W], or vectors [N, M], in float32; labels [N] (int64), and the causes [N, L] of the images, where they are known."""

    images: Tensor
    labels: Tensor | None = None
    causes: Tensor | None = None

    def limited(self, fraction: float) -> Split:
        """An evenly spaced part of the images, at least one."""
        kept = max(1, round(fraction * len(self.images)))
        index = torch.linspace(0, len(self.images) - 1, kept, dtype=torch.float64).round().long()
        return self._each(lambda tensor: tensor[index])

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Split:
        """The same images on `device` in `dtype`, where training keeps them."""
        moved = self._each(lambda tensor: tensor.to(device))
        return replace(moved, images=moved.images.to(dtype))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Split:
        """The same change of images, labels and causes."""
        labels, causes = (None if tensor is None else change(tensor) for tensor in (self.labels, self.causes))
        return Split(change(self.images), labels, causes)


@dataclass(frozen=True)
class Splits:
    """The splits of a data set. Models are trained on `train` and scored on `validation`; `test` is touched only by name.

    `dictionary` [M, L] is the true one of synthetic data: its columns are what the L causes of an image add to its M pixels.
    """

    train: Split
    validation: Split
    test: Split | None = None
    dictionary: Tensor | None = field(default=None, kw_only=True)

    def items(self) -> Iterator[tuple[str, Split]]:
        """The splits that there are, by name."""
        yield "train", self.train
        yield "validation", self.validation
        if self.test is not None:
            yield "test", self.test

    def limited(self, fraction: float) -> Splits:
        """An evenly spaced part of every split, with the same truth."""
        test = None if self.test is None else self.test.limited(fraction)
        return replace(self, train=self.train.limited(fraction), validation=self.validation.limited(fraction), test=test)


class DataSet(Part, ABC):
    """Base of all data sets. `version` is the version of the recipe that prepares the images; it is part of a run's identity."""

    data_shape: tuple[int, ...]
    """(C, H, W) of an image, (M,) of a vector; known before anything is loaded. A property, or set in `__init__`, where options change it."""
    pixels: Pixels = "real"
    labelled: bool = False
    has_test: bool = False
    """Whether there is a test split beside train and validation."""
    has_truth: bool = False
    """Whether the images are made from known causes with a known dictionary, which `load` then gives."""
    files: ClassVar[Sequence[Source]] = ()
    """Published files that the images are made of. `latentbench data` lists, fetches and verifies them."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = self.options_model() if options is None else options

    @property
    def chosen_options(self) -> dict[str, Any]:
        """The options that differ from their neutral values, as JSON has them. What is prepared and cached depends on them."""
        return without_neutral(self.options_model, self.options.model_dump(mode="json"))

    @property
    def title(self) -> str:
        """Its name, with the options that differ from their neutral values, as `digits(flat=True)`."""
        options = ", ".join(f"{key}={value}" for key, value in self.chosen_options.items())
        return f"{self.name}({options})" if options else self.name

    def sources(self) -> Mapping[str, str]:
        """File name -> hash of every source file. Called by the plan, so it should be cheap; part of a run's identity.

        Those of `files` are known without reading them: `load` makes sure that a file is the published one.

        Raises:
            UserError: a file is missing or is not what it should be.
        """
        return {source.name: source.digest for source in self.files}

    def prepare(self, cache: Path, progress: Progress) -> None:
        """Make `load` quick and sure: read, or download, the source files, and cache what is prepared of them. Called once before runs start.

        Raises:
            UserError: a file is missing or is not what it should be.
        """
        for done, source in enumerate(self.files):
            progress(f"{self.name}: {source.name}", done, len(self.files))
            source.read(cache)

    @abstractmethod
    def load(self, cache: Path) -> Splits:
        """The prepared images, deterministic. `cache` is a folder where prepared data may be kept. Called once by every run's process.

        Raises:
            UserError: a file is missing or is not what it should be.
        """


def load(dataset: DataSet, cache: Path) -> Splits:
    """The images of a data set, which are what it says: splits, shape, kind of number, range, labels.

    Raises:
        UserError: a file is missing or wrong, or the images are not what the data set says.
    """
    what = f"{origin(dataset)}.load(...)"
    splits = dataset.load(cache)
    check_class(what, splits, Splits)
    if (splits.test is not None) != dataset.has_test:
        raise UserError(f"{what}.test is {described(splits.test)}, and the class says has_test = {dataset.has_test}")
    for name, split in splits.items():
        check_class(f"{what}.{name}", split, Split)
        _check_images(f"{what}.{name}.images", split.images, dataset)
        _check_labels(f"{what}.{name}.labels", split.labels, len(split.images), dataset.labelled)
    _check_truth(what, splits, dataset)
    return splits


def _check_images(what: str, images: Tensor, dataset: DataSet) -> None:
    check_shape(what, images, ("N", *dataset.data_shape), f"images of data_shape {dataset.data_shape}")
    if images.dtype != torch.float32:
        raise UserError(f"{what} returned {described(images)}, expected float32")
    low, high = (float(limit) for limit in images.aminmax())  # a number that is none makes both so
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int((~images.isfinite()).sum())
        raise UserError(f"{what} returned {described(images)} in which {bad} numbers are not finite")
    if dataset.pixels in ("unit", "binary") and not 0 <= low <= high <= 1:
        raise UserError(f"{what} returned numbers from {low:g} to {high:g}, expected 0 to 1: the class says pixels = '{dataset.pixels}'")
    if dataset.pixels == "binary" and bool(((images != 0) & (images != 1)).any()):
        raise UserError(f"{what} returned numbers between 0 and 1, expected 0 or 1: the class says pixels = 'binary'")
    if dataset.pixels == "count" and (low < 0 or bool((images != images.round()).any())):
        raise UserError(f"{what} returned numbers that are no counts, the least {low:g}, expected 0, 1, 2, ...: the class says pixels = 'count'")


def _check_labels(what: str, labels: object, images: int, labelled: bool) -> None:
    if not labelled and labels is not None:
        raise UserError(f"{what} returned {described(labels)}, expected None: the class says labelled = False")
    fits = isinstance(labels, Tensor) and labels.dtype == torch.int64 and labels.shape == (images,)
    if labelled and not fits:
        raise UserError(f"{what} returned {described(labels)}, expected int64 [{images}]: the class says labelled = True")


def _check_truth(what: str, splits: Splits, dataset: DataSet) -> None:
    """Whether there are a dictionary [M, L], and causes [N, L] of every split, or none of them."""
    pixels, dictionary = math.prod(dataset.data_shape), splits.dictionary
    told = {f"{what}.dictionary": (dictionary, pixels)}
    told |= {f"{what}.{name}.causes": (split.causes, len(split.images)) for name, split in splits.items()}
    for where, (tensor, length) in told.items():
        if not dataset.has_truth and tensor is not None:
            raise UserError(f"{where} is {described(tensor)}, expected None: the class says has_truth = False")
        elements = dictionary.shape[-1] if isinstance(dictionary, Tensor) and dictionary.ndim == 2 else "L"
        fits = isinstance(tensor, Tensor) and tensor.dtype == torch.float32 and tensor.shape == (length, elements) and bool(tensor.isfinite().all())
        if dataset.has_truth and not fits:
            raise UserError(f"{where} is {described(tensor)}, expected finite float32 [{length}, {elements}]: the class says has_truth = True")
