"""The statistics of a leaderboard's cell, and of the difference of two, from the values of their seeds.

Values are finite numbers: seeds that failed or diverged are no values, and are counted by the caller.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, nan, sqrt
from typing import Literal, TypeVar

import numpy as np

CONFIDENCE = 0.99
PAPER_CONFIDENCE = 0.99
"""The confidence of the authors' bars, which have no other."""
ROUNDING = 8 * np.finfo(np.float64).eps
"""Relative to the largest value, a difference or a spread below it is one of rounding, and counts as 0."""
Interval = Literal["t", "paper"]
Values = np.ndarray[tuple[int], np.dtype[np.float64]]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Sample:
    """What a t test needs of a sample: its mean, its variance, how many values it has, and the degrees of freedom of the variance, which are infinite
    where that is known."""

    mean: float
    variance: float
    n: int
    freedom: float

    @property
    def of_mean(self) -> float:
        """The variance of the mean."""
        return self.variance / self.n

    def grown(self, more: int) -> Sample:
        """The sample with as many values more, whose mean and variance are as before."""
        return Sample(self.mean, self.variance, self.n + more, self.freedom + more)


@dataclass(frozen=True)
class Difference:
    """The difference of two means, with its t test.

    `interval` is the half-width of the confidence interval of `mean`, `p` two-sided. Of paired rows `samples` has one, of the pairs' differences, and
    `left_out` counts values without a partner; of unpaired ones it has that of each side. `correlation` is that of the pairs, which pairing makes use
    of; None where it is undefined or means nothing: with fewer than three pairs, or where a side has no spread.
    """

    mean: float
    interval: float
    p: float
    samples: tuple[Sample, ...]
    correlation: float | None = None
    left_out: int = 0

    @property
    def paired(self) -> bool:
        """Whether values were compared in pairs."""
        return len(self.samples) == 1

    @property
    def n(self) -> int:
        """Pairs, or values of the side that has fewer."""
        return min(sample.n for sample in self.samples)

    @property
    def standard_error(self) -> float:
        """That of `mean`."""
        return standard_error(self.samples)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the test."""
        return satterthwaite(self.samples)

    @property
    def without_spread(self) -> bool:
        """Whether nothing varies over seeds, so that `p`, 0 or 1, says no more than whether there is a difference."""
        return self.standard_error == 0


def half_width(values: Sequence[float] | Values, confidence: float = CONFIDENCE, kind: Interval = "t") -> float | None:
    """Half the width of the interval of the mean of values [n]; None for fewer than two.

    `t` is Student's, t(n - 1) s / sqrt(n). `paper` is the bar in the tables of the Poisson VAE paper: its standard deviation divides by n, as that of
    a bootstrapped mean tends to (4.604 sd / 5^(1/2) for five seeds), so that the bar is .894 of Student's there.

    Raises:
        ValueError: `paper` with another confidence than .99.
    """
    if kind == "paper" and confidence != PAPER_CONFIDENCE:
        raise ValueError(f"the paper's bars have a confidence of {PAPER_CONFIDENCE:g}, not {confidence:g}")
    n = len(values)
    spread = float(np.std(values, ddof=1 if kind == "t" else 0)) if n > 1 else nan
    return quantile(n - 1, confidence) * spread / sqrt(n) if n > 1 else None


def difference(one: Mapping[Key, float], other: Mapping[Key, float], confidence: float = CONFIDENCE, paired: bool = True) -> Difference | None:
    """The difference of two rows' means, `one` less `other`, by a paired t test where it can be, else by Welch's.

    Args:
        one, other: values by what two runs may share: their seed, and all else that tells the values of a row apart.
        confidence: that of the interval.
        paired: whether values of one key belong together; those of runs that other sources made do not.

    Returns:
        None where a side has fewer than two values, as the spread is unknown then. With fewer than two common keys rows are not paired.

    Raises:
        ValueError: a value is not finite.
    """
    common = [key for key in one if key in other] if paired else []
    if len(common) < 2:
        return welch(list(one.values()), list(other.values()), confidence)
    first, second = _finite([one[key] for key in common]), _finite([other[key] for key in common])
    differences = _sample(first - second, _scale(first, second))
    left_out = len(one) + len(other) - 2 * len(common)
    return t_test(differences.mean, (differences,), confidence, _correlation(first, second), left_out)


def welch(one: Sequence[float] | Values, other: Sequence[float] | Values, confidence: float = CONFIDENCE) -> Difference | None:
    """The difference of the means of two independent samples, whose variances may differ (Welch 1947); None where one has fewer than two values.

    Raises:
        ValueError: a value is not finite.
    """
    first, second = _finite(one), _finite(other)
    if min(len(first), len(second)) < 2:
        return None
    scale = _scale(first, second)
    samples = _sample(first, scale), _sample(second, scale)
    return t_test(_rounded(samples[0].mean - samples[1].mean, scale), samples, confidence)


def t_test(
    mean: float, samples: tuple[Sample, ...], confidence: float = CONFIDENCE, correlation: float | None = None, left_out: int = 0
) -> Difference:
    """The difference `mean` with its t test, from the sample of paired differences or those of both sides."""
    error, freedom = standard_error(samples), satterthwaite(samples)
    p = 2 * upper_tail(abs(mean) / error, freedom) if error else float(mean == 0)
    return Difference(mean, quantile(freedom, confidence) * error, p, samples, correlation, left_out)


def sample_of(values: Sequence[float] | Values) -> Sample:
    """The sample of two values or more.

    Raises:
        ValueError: a value is not finite.
    """
    array = _finite(values)
    return _sample(array, _scale(array, array))


def standard_error(samples: Sequence[Sample]) -> float:
    """That of a sum or difference of independent means: (sum of s_i^2 / n_i)^(1/2)."""
    return sqrt(sum(sample.of_mean for sample in samples))


def satterthwaite(samples: Sequence[Sample]) -> float:
    """The degrees of freedom of the squared standard error (Satterthwaite 1946): (sum v_i)^2 / sum [v_i^2 / f_i] with v_i = s_i^2 / n_i.

    f_i are the degrees of freedom of s_i. Where nothing has any spread, their sum.
    """
    total = sum(sample.of_mean for sample in samples)
    if total == 0:
        return sum(sample.freedom for sample in samples)
    below = sum((sample.of_mean / total) ** 2 / sample.freedom for sample in samples)
    return 1 / below if below else inf


@cache
def quantile(freedom: float, confidence: float) -> float:
    """The t that a Student t variable exceeds in magnitude with probability 1 - `confidence`."""
    from scipy.special import stdtrit  # a tenth of a second that only intervals take

    return float(stdtrit(freedom, 0.5 + confidence / 2))


def upper_tail(t: float, freedom: float) -> float:
    """The probability that a Student t variable exceeds `t`."""
    from scipy.special import stdtr

    return float(stdtr(freedom, -t))


def _finite(values: Sequence[float] | Values) -> Values:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError("values that are compared must be finite")
    return array


def _scale(first: Values, second: Values) -> float:
    return float(max(np.abs(first).max(), np.abs(second).max()))


def _rounded(value: float, scale: float) -> float:
    """The value, or 0 where it is no more than rounding."""
    return 0.0 if abs(value) <= ROUNDING * scale else value


def _sample(values: Values, scale: float) -> Sample:
    """The sample of values that were computed from numbers of the size `scale`."""
    return Sample(_rounded(float(values.mean()), scale), _rounded(float(values.std(ddof=1)), scale) ** 2, len(values), len(values) - 1)


def _correlation(first: Values, second: Values) -> float | None:
    """Pearson's; None where it is undefined, or with two pairs, whose correlation is always 1 or -1."""
    if len(first) < 3:
        return None
    scale, one, other = _scale(first, second), first - first.mean(), second - second.mean()
    spreads = [sqrt(float(centred @ centred)) for centred in (one, other)]
    if not all(_rounded(spread / sqrt(len(first) - 1), scale) for spread in spreads):
        return None
    return min(1.0, max(-1.0, float(one @ other) / spreads[0] / spreads[1]))
