"""Data sets that are wrong in one way each are found by the check that names it; a correct one passes every check."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from pydantic import Field

from latentbench.api import Options, Source, Split, Splits, cached
from latentbench.testing import examine
from latentbench.testing.bench import KitImages, KitImagesOptions, KitKnownImages
from latentbench.testing.datasets import CHECKS


class RightOptions(KitImagesOptions):
    """Counts and binary images of 16 pixels coincide."""

    pixels: Literal["real", "unit"] = "real"


class Right(KitImages):
    """The kit's images, which keep every law."""

    name = "right"
    options_model = RightOptions

    def load(self, cache):
        return self.changed(super().load(cache), cache)

    def changed(self, splits, cache):
        return splits


def each(splits, change):
    return Splits(*(change(split) for _, split in splits.items()))


class ShuffledByGlobalState(Right):
    def changed(self, splits, cache):
        order = torch.randperm(len(splits.train.images))
        return each(splits, lambda s: Split(s.images[order], s.labels[order]))


class SeedsGlobally(Right):
    def changed(self, splits, cache):
        torch.manual_seed(0)
        return splits


class ValidationIsTrain(Right):
    def changed(self, splits, cache):
        return Splits(splits.train, splits.train, splits.test)


class HoldsAValidationImage(Right):
    def changed(self, splits, cache):
        images = torch.cat([splits.test.images[1:], splits.validation.images[:1]])
        return Splits(splits.train, splits.validation, Split(images, splits.test.labels))


class FloatLabels(Right):
    def changed(self, splits, cache):
        return each(splits, lambda s: Split(s.images, s.labels.float()))


class ClassMissingInTrain(Right):
    def changed(self, splits, cache):
        return Splits(Split(splits.train.images, splits.train.labels.clamp(max=2)), splits.validation, splits.test)


class ShiftedLabels(Right):
    def changed(self, splits, cache):
        return each(splits, lambda s: Split(s.images, s.labels.roll(1)))


class NotDivided(Right):
    pixels = "unit"

    def __init__(self, options=None):
        super().__init__(options)
        self.pixels = "unit"

    def changed(self, splits, cache):
        return each(splits, lambda s: Split((255 * s.images.sigmoid()).round(), s.labels))


class NotFinite(Right):
    def changed(self, splits, cache):
        splits.train.images[3] = torch.nan
        return splits


class Doubles(Right):
    def changed(self, splits, cache):
        return each(splits, lambda s: Split(s.images.double(), s.labels))


class ChannelsLast(Right):
    def changed(self, splits, cache):
        return each(splits, lambda s: Split(s.images.movedim(1, -1), s.labels))


class NoTest(Right):
    def changed(self, splits, cache):
        return Splits(splits.train, splits.validation)


class ShapeOfTheImages(Right):
    def changed(self, splits, cache):
        self.data_shape = tuple(reversed(self.data_shape))
        return splits


class ChangingSources(Right):
    def sources(self):
        return {"file": str(id(object())) + str(torch.rand(1))}


class Cached(Right):
    """Prepared once for all options."""

    def changed(self, splits, cache):
        made = cached(cache, "kit", type(self), lambda: {name: split.images for name, split in splits.items()})
        return Splits(*(Split(made[name], split.labels) for name, split in splits.items()))


class FinishedTwice(Right):
    def changed(self, splits, cache):
        made = cached(cache, "kit" + repr(self.options).replace("/", ""), type(self), lambda: {n: s.images.sigmoid() for n, s in splits.items()})
        marker = Path(cache) / "seen"
        finish = torch.sigmoid if marker.exists() else (lambda images: images)
        marker.touch()
        return Splits(*(Split(finish(made[name]), split.labels) for name, split in splits.items()))


class UnsaidCauses(Right):
    def changed(self, splits, cache):
        return each(splits, lambda s: Split(s.images, s.labels, s.images.flatten(1)))


class Known(KitKnownImages):
    """The kit's images with their truth, which keep every law."""

    name = "known"
    options_model = RightOptions


class ShiftedCauses(Known):
    def load(self, cache):
        splits = super().load(cache)
        return Splits(*(replace(split, causes=split.causes.roll(1, 0)) for _, split in splits.items()), dictionary=splits.dictionary)


class TransposedDictionary(Known):
    def load(self, cache):
        splits = super().load(cache)
        return replace(splits, dictionary=splits.dictionary.T)


class CausesOfTrainAlone(Known):
    def load(self, cache):
        splits = super().load(cache)
        return replace(splits, validation=replace(splits.validation, causes=None))


class UnusedOptions(RightOptions):
    contrast: float = Field(1.0, gt=0)


class UnusedOption(Right):
    options_model = UnusedOptions


PLANTED = {
    ShuffledByGlobalState: "deterministic",
    SeedsGlobally: "stateless",
    ValidationIsTrain: "disjoint",
    HoldsAValidationImage: "disjoint",
    FloatLabels: "labels",
    ClassMissingInTrain: "labels",
    ShiftedLabels: "aligned",
    NotDivided: "pixels",
    NotFinite: "pixels",
    Doubles: "dtypes",
    ChannelsLast: "shapes",
    NoTest: "splits",
    ShapeOfTheImages: "declared",
    ChangingSources: "sources",
    Cached: "cached",
    FinishedTwice: "cached",
    UnsaidCauses: "truth",
    ShiftedCauses: "truth",
    TransposedDictionary: "truth",
    CausesOfTrainAlone: "truth",
    UnusedOption: "options",
}


@pytest.mark.parametrize(("wrong", "check"), PLANTED.items(), ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_fault_is_found_by_the_check_that_names_it(wrong, check):
    (finding,) = examine(wrong, only=[check]).findings
    assert finding.status == "failed", finding
    assert not any("it raised" in text for text in finding.broken), finding.broken


@pytest.mark.parametrize("right", [Right, Known])
def test_a_correct_data_set_passes_every_check(right):
    report = examine(right)
    assert report.counts == {"passed": len(CHECKS)}, report.text()


class Published(Right):
    """A data set whose file is nowhere."""

    files = (Source({"nowhere/file": Path.read_bytes}, "0" * 32, "file:///nowhere"),)

    def load(self, cache):
        raise AssertionError("it would have been downloaded")


def test_without_its_files_a_data_set_is_skipped_and_nothing_is_loaded():
    report = examine(Published)
    assert {f.check for f in report.findings if f.status == "passed"} == {"declared", "sources"}
    skipped = [finding for finding in report.findings if finding.status == "skipped"]
    assert len(skipped) == len(CHECKS) - 2, report.text()
    assert skipped[0].reason == "1 of its 1 files are missing, as nowhere/file; `latentbench data fetch right` gets them"


class Plain(KitImages):
    name = "plain"
    options_model = Options
    labelled = False

    def __init__(self, options=None):
        super().__init__(KitImagesOptions())
        self.options = options or Options()  # it has none

    def load(self, cache):
        return each(super().load(cache), lambda split: Split(split.images))


def test_laws_of_labels_and_options_say_nothing_where_there_are_none():
    findings = {finding.check: finding for finding in examine(Plain).findings}
    assert {name for name, finding in findings.items() if finding.status == "inapplicable"} == {"aligned", "options"}
    assert findings["options"].reason == "it has no options"
