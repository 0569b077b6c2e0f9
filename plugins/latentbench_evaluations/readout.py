"""Readouts of a representation on labelled images: `knn`, `shattering` and `linear_probe` (Poisson VAE, Tables 4 and 6, Fig. 11)."""

from __future__ import annotations

import warnings
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from latentbench.api import (
    Assembly,
    Evaluation,
    EvaluationOptions,
    Measure,
    Metric,
    Options,
    Outcome,
    Trained,
    UserError,
    dichotomies,
    fit_dichotomies,
    stream,
)
from latentbench_evaluations.neighbours import knn_accuracies
from latentbench_evaluations.pictures import named


class ReadoutOptions(EvaluationOptions):
    """Options of all readouts."""

    readout: Literal["native", "mean", "sample"] = Field(
        "native", description="Features: the family's own choice (as in the paper), the mean of the code, or one true sample."
    )


class Readout(Evaluation):
    """Base of evaluations that read labels from codes."""

    options_model: ClassVar[type[Options]] = ReadoutOptions

    def __init__(self, options: ReadoutOptions) -> None:
        self.readout, self.split = options.readout, options.split

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Labels are needed."""
        return None if assembly.dataset.labelled else f"it needs labels, and '{assembly.dataset.name}' has none"

    def features(self, trained: Trained, split: str) -> tuple[Tensor, Tensor]:
        """Features [N, F] and labels [N] of a split."""
        codes, labels = trained.codes(split), trained.splits[split].labels
        assert labels is not None, "the plan leaves this evaluation out where there are no labels"
        chosen = {"native": codes.representation, "mean": codes.mean, "sample": codes.sample}[self.readout]
        return chosen.float(), labels.cpu()


class KnnOptions(ReadoutOptions):
    """Options of `knn`."""

    sizes: list[int] = Field(default=[200, 1000, 5000], min_length=1, description="Numbers of labelled images.")
    neighbours: int = Field(5, gt=0, description="k.")
    draws: int = Field(100, gt=0, description="How often so many are drawn.")


class Knn(Readout):
    """Accuracy of k nearest neighbours (Euclidean, unscaled features) from few labels: `knn_accuracy`, indexed by `sample_size`.

    As in the paper the images of one split (`validation`) are used alone: the first half is the pool that labelled images are drawn from, without
    replacement, and the second half is tested. Draw j is one order of the pool, of which a size takes that many from the start. It depends on j and
    the split alone, so that all models are compared on the same labelled images. A size that reaches the pool is the whole pool, which is drawn once.
    The standard error is over draws, which share the pool and the test images. Of equally near images the first of the split is a neighbour, and of
    labels that are equally frequent among the neighbours the smallest is predicted.

    The arrays have every draw's accuracy, `accuracies` [sizes, draws], at the numbers `sizes` [sizes] of labelled images, their names with the split
    where it is not validation. The whole pool's only accuracy is that of every draw.
    """

    name = "knn"
    version = "3"  # equally near images were chosen by scikit-learn; in 1 draws depended on the run's seed and on the other sizes
    options_model = KnnOptions
    metrics = {"knn_accuracy": Measure("higher", "share of images", "Accuracy of nearest neighbours from few labels.", "sample_size")}

    def __init__(self, options: KnnOptions) -> None:
        super().__init__(options)
        self.options = options

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On one split. What is drawn does not depend on `generator`, which is the run's."""
        features, labels = self.features(trained, self.split)
        half = len(features) // 2
        if half == 0:
            raise UserError(f"one {self.split} image cannot be both labelled and tested; two are the least")
        classes, known = labels[:half].unique(return_inverse=True)
        asked = torch.where(torch.isin(labels[half:], classes), torch.searchsorted(classes, labels[half:]), -1)  # -1 is never predicted
        orders = torch.stack([torch.randperm(half, generator=stream(0, "knn", self.split, draw)) for draw in range(self.options.draws)])
        sizes = sorted({min(size, half) for size in self.options.sizes})
        draws = [orders[: 1 if size == half else None, :size] for size in sizes]
        found = knn_accuracies((features[:half], known), (features[half:], asked), draws, self.options.neighbours)
        metrics = [Metric.mean("knn_accuracy", row, self.split).at("sample_size", size) for size, row in zip(sizes, found, strict=True)]
        accuracies = torch.stack([row.expand(len(orders)) for row in found])
        return Outcome(metrics, arrays={named("sizes", self.split): torch.tensor(sizes), named("accuracies", self.split): accuracies})


class Shattering(Readout):
    """Mean accuracy over dichotomies of the classes (Bernardi et al. 2020; Poisson VAE, section 4): `shattering_accuracy`.

    A logistic regression for every way to divide the classes into halves (126 for ten: the paper's 252 count each twice), fitted on all training
    images, tested on all images of a split. The paper calls it shattering dimensionality; it is an accuracy. Solved to scikit-learn's tolerance,
    where scikit-learn's default of 100 iterations may stop before.
    """

    name = "shattering"
    metrics = {
        "shattering_accuracy": Measure("higher", "share of images", "Mean accuracy over all ways to divide the classes into halves."),
        "shattering_gradient": Measure(None, "nats", "Largest gradient at which a regression was taken as solved."),
    }

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Fitted on the training split, tested on one split."""
        features, labels = self.features(trained, "train")
        test_features, test_labels = self.features(trained, self.split)
        classes, labels = labels.unique(return_inverse=True)
        table = dichotomies(len(classes), generator)
        fit = fit_dichotomies(features, labels, table)
        known = torch.isin(test_labels, classes)  # a small part of the data may lack a class
        if not known.any():
            raise UserError(f"no label of the {len(test_labels)} {self.split} images occurs in the {len(features)} training images")
        positive = table[:, torch.searchsorted(classes, test_labels[known])].T  # [N, P]
        accuracies = (fit.decide(test_features[known]) == positive).double().mean(0)  # [P]
        metric = Metric.mean("shattering_accuracy", accuracies, self.split)
        loosest = Metric("shattering_gradient", float(fit.gradients.max()), "train", n=len(accuracies))
        return Outcome([metric, loosest])


class LinearProbeOptions(ReadoutOptions):
    """Options of `linear_probe`."""

    max_iter: int = Field(100, gt=0, description="Most iterations of the solver; scikit-learn's default, and so the paper's.")


class LinearProbe(Readout):
    """Accuracy of a multinomial logistic regression (scikit-learn's defaults), fitted on all training images: `linear_probe_accuracy`."""

    name = "linear_probe"
    options_model = LinearProbeOptions
    metrics = {
        "linear_probe_accuracy": Measure("higher", "share of images", "Accuracy of a multinomial logistic regression."),
        "linear_probe_iterations": Measure(None, "iterations", "Iterations that the solver took."),
    }

    def __init__(self, options: LinearProbeOptions) -> None:
        super().__init__(options)
        self.max_iter = options.max_iter

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Fitted on the training split, tested on one split."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        (features, labels), (test_features, test_labels) = self.features(trained, "train"), self.features(trained, self.split)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations says so
            classifier = LogisticRegression(max_iter=self.max_iter).fit(features.numpy(), labels.numpy())
        right = torch.from_numpy(classifier.predict(test_features.numpy()) == test_labels.numpy())
        iterations = Metric("linear_probe_iterations", float(classifier.n_iter_.max()), "train")
        return Outcome([Metric.mean("linear_probe_accuracy", right, self.split), iterations])
