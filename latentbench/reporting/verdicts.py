"""Whether values of our own agree with published ones: the statistics of `latentbench verify`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf, sqrt

from latentbench.reporting.power import more_seeds, power_to_agree, power_to_exceed
from latentbench.reporting.ranking import adjusted
from latentbench.reporting.statistics import PAPER_CONFIDENCE, Difference, Sample, half_width, quantile, sample_of, t_test, upper_tail

ALPHA = 0.01
"""Of all tests for differences of a suite together, and of one prediction."""
EQUIVALENCE = 0.9
"""Confidence of the interval that must lie inside the margin: two one-sided tests at .05."""


class Verdict(StrEnum):
    """What can be said about a published value; the last three where there are fewer than two seeds to compare with it."""

    SAME = "same"
    DIFFERENT = "different"
    CANNOT_TELL = "cannot tell"
    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    NOT_RUN = "not run"


FAILING = frozenset({Verdict.DIFFERENT, Verdict.INCONSISTENT})
"""The verdicts that say that results are not those that were published."""


@dataclass(frozen=True)
class Published:
    """A published value: its sample, the half-width of its 99 % interval, and half a unit of the last digit where it was rounded.

    A value whose spread over seeds is unknown is a sample of one, whose mean has a known variance: that of its bar, or 0 without one.
    """

    sample: Sample
    interval: float | None = None
    rounding: float = 0.0

    @property
    def value(self) -> float:
        """The mean over seeds, or the single value."""
        return self.sample.mean

    @property
    def seeds(self) -> bool:
        """Whether the spread over seeds is known."""
        return self.sample.n > 1

    @classmethod
    def of_seeds(cls, values: Sequence[float]) -> Published:
        """The values of two seeds or more."""
        return cls(sample_of(values), half_width(values))

    @classmethod
    def of_means(cls, value: float, bar: float, n: int, rounding: float = 0.0) -> Published:
        """A mean over `n` seeds whose bar is that of the paper, t(n - 1) sd / n^(1/2) with the standard deviation that divides by n.

        Of a bar that was rounded the largest that it may have been counts.
        """
        spread = (bar + rounding) * sqrt(n) / quantile(n - 1, PAPER_CONFIDENCE)
        return cls(Sample(value, spread**2 * n / (n - 1), n, n - 1), bar, rounding)

    @classmethod
    def of_value(cls, value: float, bar: float | None = None, rounding: float = 0.0) -> Published:
        """A single value, whose bar, if it has one, is its own 99 % interval."""
        error = 0.0 if bar is None else (bar + rounding) / quantile(inf, PAPER_CONFIDENCE)
        return cls(Sample(value, error**2, 1, inf), bar, rounding)


@dataclass(frozen=True)
class Case:
    """Finite values of our own seeds, the published value, and the difference that counts as agreement."""

    ours: Sequence[float]
    published: Published
    margin: float


@dataclass(frozen=True)
class Judgement:
    """A verdict with its evidence.

    `difference` is ours less theirs with the interval of the equivalence test, `p` that of the test for a difference beyond the margin, `adjusted`
    over all cases. `allowed` is how far a single seed may be from the published value. `more` seeds of our own would give a verdict with a power of
    .8, approximately; None where none is needed, or where no number of them would.
    """

    verdict: Verdict
    difference: Difference | None = None
    p: float | None = None
    adjusted: float | None = None
    allowed: float | None = None
    more: int | None = None


def judge(cases: Sequence[Case]) -> list[Judgement]:
    """The verdicts on all published values of a suite.

    With two seeds or more: *same* where the Welch interval of the difference lies inside the margin; *different* where the difference is beyond the
    margin, by Holm over the suite; else *cannot tell*. With one seed *consistent* or *inconsistent*, by the prediction interval of the published
    seeds. Rounding of what was published counts for neither side.
    """
    differences = [_difference(case) for case in cases]
    p = [None if d is None else p_beyond(d, case.margin + case.published.rounding) for case, d in zip(cases, differences, strict=True)]
    level = ALPHA / max(1, sum(one is not None for one in p))
    judged = zip(cases, differences, p, adjusted(p), strict=True)
    return [_of_one(case) if d is None else _of_several(case, d, (one, over_all), level) for case, d, one, over_all in judged]


def p_beyond(difference: Difference, margin: float) -> float:
    """The p-value of the hypothesis that the true difference is at most `margin` in magnitude; without a margin that of the two-sided t test.

    The largest probability, which is the one at the margin, of a difference that is as large in magnitude as the one found.
    """
    error, size = difference.standard_error, abs(difference.mean)
    if error == 0:
        return float(size <= margin)
    return min(1.0, sum(upper_tail((size + sign * margin) / error, difference.freedom) for sign in (-1, 1)))


def prediction_interval(sample: Sample, confidence: float = PAPER_CONFIDENCE) -> float:
    """Half the width of the interval that one more value falls into: t(n - 1) s (1 + 1/n)^(1/2)."""
    return quantile(sample.freedom, confidence) * sqrt(sample.variance * (1 + 1 / sample.n))


def _difference(case: Case) -> Difference | None:
    """Ours less theirs, with the interval of the equivalence test; None of a single seed."""
    if len(case.ours) < 2:
        return None
    ours = sample_of(case.ours)
    return t_test(ours.mean - case.published.value, (ours, case.published.sample), EQUIVALENCE)


def _of_several(case: Case, difference: Difference, p: tuple[float | None, float | None], level: float) -> Judgement:
    """The verdict on several seeds; `level` is that of each test if all were as significant (Bonferroni's), for the seeds that it would take."""
    agree, beyond = case.margin - case.published.rounding, case.margin + case.published.rounding
    size, (_, holm) = abs(difference.mean), p
    if size + difference.interval < agree:
        return Judgement(Verdict.SAME, difference, *p)
    if holm is not None and holm < ALPHA and size > beyond:
        return Judgement(Verdict.DIFFERENT, difference, *p)
    ours, theirs = difference.samples

    def power(more: int) -> float:
        samples = (ours.grown(more), theirs)
        if size < agree:
            return power_to_agree(difference.mean, samples, agree, EQUIVALENCE)
        return power_to_exceed(difference.mean, samples, beyond, level) if size > beyond else 0.0

    return Judgement(Verdict.CANNOT_TELL, difference, *p, more=more_seeds(power))


def _of_one(case: Case) -> Judgement:
    """The verdict on a single seed, or on none."""
    published = case.published
    if not case.ours:
        return Judgement(Verdict.NOT_RUN)
    if published.seeds and published.sample.variance:
        allowed = prediction_interval(published.sample)
    elif published.seeds:
        allowed = case.margin  # published seeds that are all equal predict nothing
    elif published.interval is not None:
        allowed = published.interval
    else:
        return Judgement(Verdict.CANNOT_TELL)
    allowed += published.rounding
    fits = abs(case.ours[0] - published.value) <= allowed
    return Judgement(Verdict.CONSISTENT if fits else Verdict.INCONSISTENT, allowed=allowed)
