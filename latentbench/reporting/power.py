"""How many more seeds a question takes, from the spread that was observed: approximate, as that spread is itself an estimate."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

import numpy as np

from latentbench.reporting.statistics import Difference, Sample, Values, quantile, satterthwaite, standard_error

MAX_SEEDS = 10_000
"""More seeds than that are no advice."""
POWER = 0.8
"""The probability with which the seeds that are named answer the question."""
NORMAL = 1e7
"""Degrees of freedom from which a t variable is normal."""
NODES = 128
"""Of quadrature: the error is below 1e-4."""


def seeds_needed(difference: Difference, alpha: float, power: float = POWER) -> int | None:
    """How many seeds more, of both rows, would tell them apart with the power `power` at the level `alpha` of a single two-sided test.

    Supposes that the difference and its variance are as observed. 0 where the seeds that there are have that power; None where more than `MAX_SEEDS`
    would not, as for a difference of 0.
    """
    return more_seeds(lambda more: power_to_differ(difference.mean, [sample.grown(more) for sample in difference.samples], alpha), power)


def more_seeds(power_with: Callable[[int], float], power: float = POWER) -> int | None:
    """The fewest further seeds with which `power_with(seeds)`, which rises with them, is at least `power`; None where `MAX_SEEDS` are not enough."""
    if power_with(MAX_SEEDS) < power:
        return None
    return bisect_left(range(MAX_SEEDS), True, key=lambda more: power_with(more) >= power)


def power_to_differ(mean: float, samples: Sequence[Sample], alpha: float) -> float:
    """The probability that a two-sided test of the level `alpha` finds a difference `mean`."""
    error, freedom = standard_error(samples), satterthwaite(samples)
    if error == 0:
        return float(mean != 0)
    critical, shift = quantile(freedom, 1 - alpha), abs(mean) / error
    return noncentral_tail(critical, freedom, shift) + noncentral_tail(critical, freedom, -shift)


def power_to_exceed(mean: float, samples: Sequence[Sample], margin: float, alpha: float) -> float:
    """The probability that a test of the level `alpha` finds a difference `mean` to be larger than `margin` in magnitude, approximately."""
    error, freedom = standard_error(samples), satterthwaite(samples)
    if error == 0:
        return float(abs(mean) > margin)
    return noncentral_tail(quantile(freedom, 1 - 2 * alpha), freedom, (abs(mean) - margin) / error)


def power_to_agree(mean: float, samples: Sequence[Sample], margin: float, confidence: float) -> float:
    """The probability that the interval of a difference `mean` lies between -`margin` and `margin`: that of two one-sided tests, approximately."""
    error, freedom = standard_error(samples), satterthwaite(samples)
    if error == 0:
        return float(abs(mean) < margin)
    critical = quantile(freedom, confidence)
    tails = (noncentral_tail(critical, freedom, (margin + side * mean) / error) for side in (1, -1))
    return max(0.0, sum(tails) - 1)


def noncentral_tail(t: float, freedom: float, shift: float) -> float:
    """The probability that a noncentral t variable exceeds `t`: the mean of Phi(shift - t s / sigma) over s, a chi variable, by quadrature over its
    quantiles. (scipy's own is not a number at shifts of 30.)"""
    from scipy.special import ndtr

    spread, weights = _chi(min(freedom, NORMAL))
    return float(weights @ ndtr(shift - t * spread))


@lru_cache(4096)
def _chi(freedom: float) -> tuple[Values, Values]:
    """Values of a chi variable over the root of its degrees of freedom, at the nodes of a quadrature over its quantiles, and their weights."""
    from scipy.special import gammaincinv

    nodes, weights = _legendre()
    return np.sqrt(gammaincinv(freedom / 2, (nodes + 1) / 2) * 2 / freedom), weights / 2


@cache
def _legendre() -> tuple[Values, Values]:
    """Nodes in (-1, 1) and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return nodes, weights
