"""The mean of an estimator's gradient against the exact one."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from latentbench.errors import UserError
from latentbench.testing.chance import means_are, same_means
from latentbench.testing.estimators import draws
from latentbench.testing.estimators.expected import Gradient, expected
from latentbench.testing.estimators.subject import TEMPERATURE, Case, EstimatorSubject
from latentbench.testing.law import Effort, Trial, check, holds, remark

SMALL = 100
"""Samples of a comparison for each step on a small batch: such a step costs as much as one on a large batch."""
EXACT = 1e-10
"""A gradient that varies by less, as a share of the exact one's size, does not vary."""


@check(
    "for continuous latents the mean of the surrogate's gradient is the gradient of the expected loss, mean over images of E_q[reconstruction] + "
    "beta KL, in the encoder's features, in the decoder and in the prior (quadrature has it)",
    "a score term with the wrong sign, a baseline that contains its own sample, a sum for a mean, beta twice, a detached decoder or KL",
    by_chance=True,
)
def gradient(subject: EstimatorSubject, effort: Effort) -> Iterator[Trial]:
    """With linear and bent decoders."""
    for case in subject.only(discrete=False):
        yield from _unbiased(case, expected(case), "")
        yield _spread(case)


@check(
    "for discrete latents the mean of the surrogate's gradient is that of the expected loss over true samples (a sum over all codes) or, where the "
    "estimator reads the temperature, over samples relaxed at it (quadrature)",
    "as for `gradient`; estimators that decode one thing and differentiate another are biased, and declare it",
    by_chance=True,
)
def discrete_gradient(subject: EstimatorSubject, effort: Effort) -> Iterator[Trial]:
    """With linear and bent decoders, at T = .5."""
    for case in subject.only(discrete=True):
        true = expected(case)
        compared = [_unbiased(case, true, "true samples, ")]
        compared += [_unbiased(case, expected(case, relaxed=True), f"at T = {TEMPERATURE:g}, ")] if case.tempered else []
        yield from likeliest(*compared)
        yield _bias(case, true)
        yield _spread(case)


@check(
    "the mean gradient in an image's features does not depend on the size of its batch, and batches of one image have one",
    "a baseline over the batch that contains the image's own loss, a division by B - 1, or a sum over images",
    by_chance=True,
)
def small_batches(subject: EstimatorSubject, effort: Effort) -> Iterator[Trial]:
    """Many steps on batches of two and of one image against those on large ones: discrete latents, or continuous ones, and a linear decoder."""
    case = max(subject.cases, key=lambda case: (case.discrete, case.assembly.linear_decoder))
    whole = draws.large(case).features  # [50, R, F]
    for rows in (2, 1):
        try:
            few = draws.small(case, max(200, effort.samples // SMALL), rows).features
        except UserError as told:
            yield holds(f"{case.title}, a batch of {rows}: the estimator says that {told}", rows == 1)
        else:
            yield from _same(f"{case.title}, a batch of {rows}: gradient of the features ", few, whole[:, :rows], effort)


def _unbiased(case: Case, exact: Gradient, of: str) -> list[Trial]:
    """The comparisons of all numbers of the gradient."""
    trials: list[Trial] = []
    found = draws.large(case).parts()
    for part, goal in exact.parts().items():
        trials += means(f"{case.title}, {of}gradient of the {part} ", found[part], goal, case.effort)
    return trials


def means(what: str, values: Tensor, goal: Tensor, effort: Effort) -> Iterator[Trial]:
    """Whether values [N, ...] have the means `goal`; those that do not vary must be them to 1e-7 of the largest."""
    size = float(goal.abs().max())
    if bool(values.isfinite().all()) and float(values.std(0).max()) <= EXACT * size:
        worst = float((values.mean(0) - goal).abs().max())
        yield holds(f"{what}does not vary, and differs by {worst:.2g} of {size:.4g}", worst <= 1e-7 * size)
    else:
        yield from means_are(what, values, goal, effort)


def _same(what: str, few: Tensor, many: Tensor, effort: Effort) -> Iterator[Trial]:
    """Whether two samples have the same means; those that do not vary must be the same."""
    if not bool(few.isfinite().all()):
        yield holds(f"{what}is not finite in {int((~few.isfinite()).flatten(1).any(1).sum())} of {len(few)} steps", False)
    elif float(few.std(0).max()) <= EXACT * float(many.abs().max()):
        yield from means(what, few, many.mean(0), effort)
    else:
        yield from same_means(what, few, many, effort)


def likeliest(*alternatives: list[Trial]) -> list[Trial]:
    """Of several sets of comparisons, one of which must hold, the one whose least likely comparison is the likeliest."""
    return max(alternatives, key=lambda trials: min(float(bool(trial.kept)) if trial.p is None else trial.p for trial in trials))


def _bias(case: Case, true: Gradient) -> Trial:
    """The bias with respect to true samples, in the features."""
    bias, size = draws.large(case).features.mean(0) - true.features, float(true.features.norm())
    return remark(f"{case.title}: the features' gradient is {float(bias.norm()) / size:.2g} of its norm from that of true samples")


def _spread(case: Case) -> Trial:
    """The variance."""
    return remark(f"{case.title}: variance of an image's gradient in its features {draws.variance(case):.3g}")
