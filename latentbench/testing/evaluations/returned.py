"""What an evaluation returns is what it declares, finite, of the right size, and with sensible errors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from latentbench.contract import described
from latentbench.evaluation.outcome import Metric, Outcome, PerImage, PerUnit
from latentbench.measure import Measure
from latentbench.testing.evaluations.subject import Bench, EvaluationSubject
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds


@check(
    "evaluate returns an Outcome with one metric at least; metrics, units and images are Metric, PerUnit and PerImage, a metric once for each split "
    "and index",
    "a dictionary in place of an Outcome, or the points of a curve without their index",
)
def outcome(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """Classes, and how often each metric occurs."""
    for bench in subject.benches:
        found: object = bench.first.outcome
        yield holds(f"{bench.title}: evaluate returned {described(found)}, expected Outcome", isinstance(found, Outcome))
        if not isinstance(found, Outcome):
            continue
        yield holds(f"{bench.title}: {len(found.metrics)} metrics", len(found.metrics) > 0)
        for kind, values in ((Metric, found.metrics), (PerUnit, found.units), (PerImage, found.images)):
            wrong = [described(value) for value in values if not isinstance(value, kind)]
            yield holds(f"{bench.title}: {', '.join(wrong[:3]) or 'none'} among the values that should be {kind.__name__}", not wrong)
        counts = Counter((metric.name, metric.split, metric.index) for metric in found.metrics)
        twice = [" ".join(map(str, key)) for key, count in counts.items() if count > 1]
        yield holds(f"{bench.title}: metrics that occur more than once: {', '.join(twice[:3]) or 'none'}", not twice)


def _declared(bench: Bench) -> Mapping[str, Measure]:
    costs = bench.model(1).family.measures if bench.part.reports_costs else {}
    return {**costs, **bench.part.metrics}


@check(
    "every metric is declared in `metrics`, or, where it reports_costs, by the family; it has an index of the declared name, or none",
    "a metric that was renamed in one of two places, or a curve whose declaration lacks `index`",
)
def declared(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """Names and indices of all metrics."""
    for bench in subject.benches:
        known = _declared(bench)
        for metric in bench.first.outcome.metrics:
            what = f"{bench.title}: metric '{metric.name}'"
            yield holds(f"{what}, declared are {', '.join(known) or 'none'}", metric.name in known)
            if metric.name in known:
                index = known[metric.name].index
                whole = metric.index_name == index and (metric.index is None) == (index is None)
                yield holds(f"{what} at {metric.index_name} {metric.index}, declared index {index}", whole)


@check(
    "metrics, their indices and standard errors are finite; what is not defined for a model is left out",
    "a variance over one value, a ratio to a sum of zeros, or a logarithm of zero",
)
def finite(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """Values, errors and indices."""
    for bench in subject.benches:
        for metric in bench.first.outcome.metrics:
            values = [metric.value, *(value for value in (metric.standard_error, metric.index) if value is not None)]
            yield holds(f"{bench.title}: {metric.name} on {metric.split}: {values}", all(math.isfinite(value) for value in values))


@check(
    "a standard error is at least 0, over n > 1 units, and n is a whole number; a metric that is given for every image too is their mean, "
    "s / sqrt(n) its error",
    "the standard deviation in place of the standard error, n of another split, or a sum in place of a mean",
)
def errors(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """n and standard error of every metric, and its value where it can be computed again."""
    for bench in subject.benches:
        images = {(image.name, image.split): image.values for image in bench.first.outcome.images}
        for metric in bench.first.outcome.metrics:
            what = f"{bench.title}: {metric.name} on {metric.split}: n = {metric.n!r}, standard error {metric.standard_error!r}"
            counted = metric.n is None or (type(metric.n) is int and metric.n > 0)
            told = metric.standard_error is None or (metric.standard_error >= 0 and metric.n is not None and metric.n > 1)
            yield holds(what, counted and told)
            values = images.get((metric.name, metric.split))
            if values is not None and metric.index is None:
                yield from _recomputed(f"{bench.title}: {metric.name} on {metric.split}", metric, values)


def _recomputed(what: str, metric: Metric, values: Tensor) -> Iterator[Trial]:
    mean, error = float(values.double().mean()), float(values.double().std()) / len(values) ** 0.5
    yield holds(f"{what}: {metric.value:.6g}, the mean of its images is {mean:.6g}", math.isclose(metric.value, mean, rel_tol=1e-4, abs_tol=1e-6))
    if metric.standard_error is not None:
        same = math.isclose(metric.standard_error, error, rel_tol=1e-3, abs_tol=1e-6)
        yield holds(f"{what}: standard error {metric.standard_error:.4g}, that of its images is {error:.4g}", same)


@check(
    "numbers of units are [K], [G] or [F] (dimensions, latents, features), those of images [N] of their split; pictures are bytes, [H, W] or "
    "[H, W, 3]",
    "numbers of the last batch only, of another split, or summed over units",
)
def sizes(subject: EvaluationSubject, effort: Effort) -> Iterator[Trial]:
    """Shapes of everything that is no single number."""
    outcomes = [bench.first.outcome for bench in subject.benches]
    if not any(found.units or found.images or found.arrays or found.pictures for found in outcomes):
        raise InapplicableError("it returns single numbers alone")
    for bench, found in zip(subject.benches, outcomes, strict=True):
        codes = bench.trained().codes("validation")
        allowed = {codes.sample.shape[1], codes.representation.shape[1], *([] if codes.kl is None else [codes.kl.shape[1]])}
        lengths = {name: len(split.images) for name, split in bench.splits.items()}
        for unit in found.units:
            fits = isinstance(unit.values, Tensor) and unit.values.ndim == 1 and len(unit.values) in allowed
            yield holds(f"{bench.title}: units of {unit.name}: {described(unit.values)}, expected one of {sorted(allowed)}", fits)
        for image in found.images:
            fits = isinstance(image.values, Tensor) and image.values.shape == (lengths.get(image.split),)
            yield holds(f"{bench.title}: {image.name} of images: {described(image.values)}, {image.split} has {lengths.get(image.split)}", fits)
        for name, array in found.arrays.items():
            yield holds(f"{bench.title}: array '{name}': {described(array)}, expected a tensor", isinstance(array, Tensor))
        for name, picture in found.pictures.items():
            yield holds(f"{bench.title}: picture '{name}': {described(picture)}", _is_picture(picture))


def _is_picture(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.uint8 and (value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3))
