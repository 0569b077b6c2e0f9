"""Evaluations that are wrong in one way each are found by the check that names it; a correct one passes every check."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from latentbench.api import Evaluation, EvaluationOptions, Measure, Metric, Options, Outcome, PerImage, PerUnit, dictionary_of
from latentbench.testing import examine
from latentbench.testing.evaluations import CHECKS


class Right(Evaluation):
    """Mean, and noisy mean, of the codes of a split."""

    name = "right"
    options_model = EvaluationOptions
    metrics = {
        "level": Measure(None, "1", "Mean of an image's code."),
        "noisy": Measure(None, "1", "The same of some images."),
        "curve": Measure(None, "1", "The same of the first images.", "images"),
    }

    def __init__(self, options):
        self.split = options.split

    def evaluate(self, trained, generator):
        codes = trained.codes(self.split)
        level = codes.mean.mean(1)
        chosen = torch.randint(len(level), (20,), generator=generator)
        metrics = [Metric.mean("level", level, self.split), Metric.mean("noisy", level[chosen], self.split)]
        metrics += [Metric.mean("curve", level[:n], self.split).at("images", n) for n in (5, 10)]
        units = [PerUnit("level", codes.mean.mean(0), self.split)]
        return self.changed(Outcome(metrics, units, images=[PerImage("level", level, self.split)]), trained)

    def changed(self, outcome, trained):
        return outcome


class First(Right):
    """Changes the first metric."""

    change = {}

    def changed(self, outcome, trained):
        return replace(outcome, metrics=[replace(outcome.metrics[0], **self.change), *outcome.metrics[1:]])


class Undeclared(First):
    change = {"name": "levle"}


class WithoutIndex(Right):
    def changed(self, outcome, trained):
        return replace(outcome, metrics=[*outcome.metrics[:3], replace(outcome.metrics[3], index_name=None, index=None)])


class Twice(Right):
    def changed(self, outcome, trained):
        return replace(outcome, metrics=[*outcome.metrics, outcome.metrics[0]])


class Dictionary(Right):
    def changed(self, outcome, trained):
        return {metric.name: metric.value for metric in outcome.metrics}


class NotFinite(First):
    change = {"value": float("nan")}


class DeviationForError(Right):
    def changed(self, outcome, trained):
        first = outcome.metrics[0]
        return replace(outcome, metrics=[replace(first, standard_error=first.standard_error * first.n**0.5), *outcome.metrics[1:]])


class ErrorOfNothing(First):
    change = {"n": None}


class LastBatch(Right):
    def changed(self, outcome, trained):
        return replace(outcome, metrics=outcome.metrics[1:], images=[PerImage("level", outcome.images[0].values[30:], self.split)])


class UnitsOfImages(Right):
    def changed(self, outcome, trained):
        return replace(outcome, units=[PerUnit("level", outcome.images[0].values, self.split)])


class FloatPicture(Right):
    def changed(self, outcome, trained):
        return replace(outcome, pictures={"code": trained.codes(self.split).mean})


class GlobalTorch(First):
    def changed(self, outcome, trained):
        return replace(outcome, arrays={"noise": torch.rand(3)})


class GlobalNumpy(First):
    def changed(self, outcome, trained):
        return replace(outcome, arrays={"noise": torch.from_numpy(np.random.rand(3))})


class SeedsGlobally(Right):
    def changed(self, outcome, trained):
        torch.manual_seed(1)
        return outcome


class KeepsCount(Right):
    calls = {}

    def changed(self, outcome, trained):
        done = self.calls[id(trained.model)] = self.calls.get(id(trained.model), 0) + len(trained._codes)
        return replace(outcome, arrays={"calls": torch.tensor(done)})


class AlwaysValidation(Right):
    def __init__(self, options):
        self.split = "validation"


class ValidationUnderAnotherName(Right):
    def evaluate(self, trained, generator):
        chosen, self.split = self.split, "validation"
        found = super().evaluate(trained, generator)
        metrics = [replace(metric, split=chosen) for metric in found.metrics]
        return Outcome(metrics, [replace(found.units[0], split=chosen)])


class LooksAtTest(Right):
    def changed(self, outcome, trained):
        return replace(outcome, arrays={"mean image": trained.splits["test"].images.mean(0)})


class IgnoresItsSplit(Right):
    def evaluate(self, trained, generator):
        return Outcome([Metric("level", 1.0, self.split)])


class LeftInTrainMode(Right):
    def changed(self, outcome, trained):
        trained.model.train()
        return outcome


class NormalisesTheDictionary(Right):
    @classmethod
    def inapplicable(cls, assembly, options):
        return None if assembly.linear_decoder else "it needs a linear decoder"

    def changed(self, outcome, trained):
        with torch.no_grad():
            dictionary_of(trained.model.decoder)[0].div_(2)
        return outcome


class LeavesGradients(Right):
    def changed(self, outcome, trained):
        trained.model.decoder(trained.codes(self.split).mean).sum().backward()
        return outcome


class CentresTheCodes(Right):
    def changed(self, outcome, trained):
        trained.codes(self.split).sample.sub_(1)
        return outcome


class ScalesTheImages(Right):
    def changed(self, outcome, trained):
        trained.splits[self.split].images.mul_(2)
        return outcome


PLANTED = {
    Undeclared: "declared",
    WithoutIndex: "declared",
    Twice: "outcome",
    Dictionary: "outcome",
    NotFinite: "finite",
    DeviationForError: "errors",
    ErrorOfNothing: "errors",
    LastBatch: "sizes",
    UnitsOfImages: "sizes",
    FloatPicture: "sizes",
    GlobalTorch: "stream",
    GlobalNumpy: "stream",
    SeedsGlobally: "stream",
    KeepsCount: "order",
    AlwaysValidation: "split",
    ValidationUnderAnotherName: "split",
    LooksAtTest: "split",
    IgnoresItsSplit: "split",
    LeftInTrainMode: "model",
    NormalisesTheDictionary: "model",
    LeavesGradients: "model",
    CentresTheCodes: "data",
    ScalesTheImages: "data",
}


@pytest.mark.parametrize(("wrong", "check"), PLANTED.items(), ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_fault_is_found_by_the_check_that_names_it(wrong, check):
    (finding,) = examine(wrong, only=[check]).findings
    assert finding.status == "failed", finding
    assert not any("it raised" in text for text in finding.broken), finding.broken


def test_a_correct_evaluation_passes_every_check():
    report = examine(Right)
    assert report.counts == {"passed": len(CHECKS)}, report.text()
    assert list(report.variants) == ["its defaults", "split=train", "split=test"]


class Earlier(Right):
    """The model before it was trained, and half trained; declares half of that."""

    options_model = Options
    shares = (0.0, 0.5)

    def __init__(self, options):
        self.split = "validation"

    @classmethod
    def checkpoints(cls, options):
        return cls.shares

    def changed(self, outcome, trained):
        arrays = {f"after {share:g}": trained.at(share).codes("validation").mean for share in (0.0, 0.5, 1.0)}
        assert not torch.equal(arrays["after 0"], arrays["after 0.5"])
        assert torch.allclose(arrays["after 1"], trained.codes("validation").mean)
        return replace(outcome, arrays=arrays)


class Undisclosed(Earlier):
    shares = (0.0,)


def test_an_evaluation_gets_the_models_that_its_checkpoints_name_and_no_others():
    assert examine(Earlier, only=["outcome", "model"]).counts == {"passed": 2}
    (finding,) = examine(Undisclosed, only=["outcome"]).findings
    assert finding.broken[0].startswith("it raised UserError: the model at the share 0.5 of its training was not kept")


class OfOneFamily(Right):
    """Made for a family that a plugin provides."""

    @classmethod
    def inapplicable(cls, assembly, options):
        return None if assembly.family.name == "laplace" else "it needs Laplace latents"


class OfNone(Right):
    @classmethod
    def inapplicable(cls, assembly, options):
        return "it needs what there is not"


def test_an_evaluation_for_one_family_is_tried_on_that_family():
    assert examine(OfOneFamily, only=["outcome"]).counts == {"passed": 1}


def test_an_evaluation_that_measures_no_model_is_inapplicable():
    report = examine(OfNone, only=["outcome"])
    assert report.counts == {"inapplicable": 1}
    assert not report.ok
