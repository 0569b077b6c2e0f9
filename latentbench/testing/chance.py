"""Statistical comparisons: p-values of means and of distributions, and what error they would find.

A mean is compared by Student's t test. With samples of skewness g the probability of a rejection at t is off by a factor of about
e^(+-g t^3 / (3 sqrt N)), and at the levels of a check t is 6 or 7: so t is transformed to what has no skewness (Hall 1992), and the larger of both
p-values holds. A distribution is compared by the Kolmogorov-Smirnov test on the probability integral transform, randomised where there are atoms,
which is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cbrt, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from latentbench.testing.law import Effort, Trial

POWER = 0.99
"""Probability with which an error of the size that a comparison states is found."""


def means_are(what: str, values: Tensor, expected: Tensor, effort: Effort) -> Iterator[Trial]:
    """Whether the columns of independent samples `values` [N, ...] have the means `expected` [...]: one comparison each."""
    columns = _Means.of(values)
    stated = np.broadcast_to(expected.detach().double().cpu().numpy(), values.shape[1:]).reshape(-1)
    for i, goal in enumerate(stated):
        place = _place(i, tuple(values.shape[1:]))
        yield mean_is(f"{what}{place}", columns.mean[i], columns.error[i], goal, len(values) - 1, effort, columns.skew[i])


def same_means(what: str, left: Tensor, right: Tensor, effort: Effort) -> Iterator[Trial]:
    """Whether independent samples `left` [N, ...] and `right` [N', ...] have the same means, column by column."""
    a, b = _Means.of(left), _Means.of(right)
    error = np.hypot(a.error, b.error)
    with np.errstate(divide="ignore", invalid="ignore"):  # where neither varies, the skewness is not used
        skew = (a.skew * a.error**3 - b.skew * b.error**3) / error**3
    for i in range(len(error)):
        # the smaller count of degrees of freedom is the cautious one of Welch's
        place, freedom = _place(i, tuple(left.shape[1:])), min(len(left), len(right)) - 1
        yield mean_is(f"{what}{place}", a.mean[i], error[i], b.mean[i], freedom, effort, skew[i])


def mean_is(what: str, found: float, error: float, expected: float, freedom: int, effort: Effort, skew: float = 0.0) -> Trial:
    """Whether a mean `found` is the `expected` one, by Student's t test and its form without skewness.

    Rejections are no more frequent than stated while `skew` is below .1 or so either way; at level 1e-8 and .12 they are twice as frequent.

    Args:
        what: the quantity.
        found: the mean of samples.
        error: its standard error. Without one, values do not vary, and must be equal to 1e-9 of their size.
        expected: the mean under the law.
        freedom: degrees of freedom of the error.
        effort: has the level, for the resolution.
        skew: skewness of the mean: that of N samples over sqrt(N).
    """
    text = f"{what}: {found:.6g} +- {error:.2g}, expected {expected:.6g}"
    if not np.isfinite([found, error, expected]).all():
        return Trial(text, kept=False)
    if error <= 1e-12 * max(abs(expected), abs(found)):
        return Trial(text, kept=bool(abs(found - expected) <= 1e-9 * max(abs(expected), 1e-3)))
    t = float(found - expected) / float(error)
    p = 2 * float(stats.t.sf(min(abs(t), abs(without_skewness(t, skew))), freedom))
    return Trial(text, p=p, resolution=lambda comparisons: _resolution(error, expected, freedom, skew, effort.level / comparisons))


def is_uniform(what: str, values: Tensor, effort: Effort) -> Trial:
    """Whether independent `values` [N] are uniform on [0, 1], by the exact Kolmogorov-Smirnov test; it takes seconds for many thousands."""
    n, sample = len(values), values.detach().double().cpu().numpy()
    if not np.isfinite(sample).all():
        return Trial(f"{what}: {int((~np.isfinite(sample)).sum())} of {n} numbers are not finite", kept=False)
    found = stats.ks_1samp(sample, stats.uniform.cdf, method="exact")

    def resolution(comparisons: int) -> str:
        return f"a distance of {float(stats.kstwo.isf(effort.level / comparisons, n) + stats.kstwo.isf(1 - POWER, n)):.3f}"

    return Trial(f"{what}: largest distance {float(found.statistic):.4f}", p=float(found.pvalue), resolution=resolution)


def without_skewness(t: float, skew: float) -> float:
    """Hall's transformation t + g t^2 / 3 + g^2 t^3 / 27 + g / 6 of a t statistic, where g = `skew` is the skewness of the mean.

    Its one-sided levels are right to O(1/N), those of t to O(1/sqrt N) (P. Hall, On the removal of skewness by transformation, 1992).
    """
    return t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6


@dataclass(frozen=True)
class _Means:
    """Means of the columns of samples [C], their standard errors, and the skewness of each mean."""

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    skew: NDArray[np.float64]

    @classmethod
    def of(cls, values: Tensor) -> _Means:
        """Those of the columns of `values` [N, ...]; one sample has no error, and so no finite one."""
        flat = values.detach().double().reshape(len(values), -1)  # [N, C]
        mean, n = flat.mean(0), len(flat)
        centred = flat - mean
        second, third = centred.square().mean(0), centred.pow(3).mean(0)
        skew = (third / second.pow(1.5) / sqrt(n)).nan_to_num(0, 0, 0)
        return cls(mean.cpu().numpy(), (second / (n - 1)).sqrt().cpu().numpy(), skew.cpu().numpy())


def _resolution(error: float, expected: float, freedom: int, skew: float, level: float) -> str:
    """The error that is found with probability `POWER` at a level, in the direction in which the test is the weaker."""
    limit = float(stats.t.isf(level / 2, freedom))
    needed = max(limit, *(abs(_with_skewness(side * limit, skew)) for side in (1, -1)))
    reach = float(error) * (needed + float(stats.t.isf(1 - POWER, freedom)))
    return f"{reach:.2g}" + (f", {100 * reach / abs(expected):.2g} %" if expected else "")


def _with_skewness(y: float, skew: float) -> float:
    """The t that `without_skewness` takes to y: it is ((1 + g t / 3)^3 - 1) / g + g / 6."""
    return 3 / skew * (cbrt(1 + skew * (y - skew / 6)) - 1) if abs(skew) > 1e-6 else y


def _place(i: int, shape: tuple[int, ...]) -> str:
    return str([int(k) for k in np.unravel_index(i, shape)]) if shape else ""
