"""Uncertainty of what is computed from several runs: weights of seeds and draws, and numbers of which only bounds are known.

R is one more than the number of replicates: row 0 is the estimate, with equal weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
REPLICATES = 4000
"""The limits of a 99 % interval are the 20th values from either end."""


@dataclass(frozen=True)
class Resampling:
    """Weights that stand for other seeds and draws. Whoever has the same seeds, or the same number of draws, gets the same weights: they are paired.

    Resampling five seeds with replacement covers .90 where it says .99, as it varies too little. So seeds have Gaussian weights instead, of the
    spread for which the interval of any mean over seeds is Student's:

        w_s = 1/n + t(n - 1) / z * (g_s - mean g) / sqrt(n (n - 1)),    g_s standard normal

    Draws, which are many, are resampled with replacement.
    """

    confidence: float
    _weights: dict[tuple[Any, ...], Array] = field(default_factory=dict)

    def seeds(self, seeds: Sequence[int]) -> Array:
        """Weights [R, n] of n seeds, which sum to 1; equal ones for a single seed."""
        from scipy.special import ndtri, stdtrit  # a tenth of a second that only this takes

        numbers = [int(seed) for seed in seeds]
        key = ("seeds", *numbers)
        if key not in self._weights:
            n, upper = len(seeds), 0.5 + self.confidence / 2
            normal = np.random.default_rng([1, *numbers]).standard_normal((REPLICATES + 1, n))
            spread = 0.0 if n == 1 else float(stdtrit(n - 1, upper) / ndtri(upper)) / sqrt(n * (n - 1))
            self._weights[key] = _estimate_first(1 / n + spread * (normal - normal.mean(1, keepdims=True)))
        return self._weights[key]

    def draws(self, n: int) -> Array:
        """Weights [R, n] of n draws, which sum to 1."""
        if ("draws", n) not in self._weights:
            counts = np.random.default_rng([2, n]).multinomial(n, np.full(n, 1 / n), REPLICATES + 1)
            self._weights["draws", n] = _estimate_first(counts / n)
        return self._weights["draws", n]


def _estimate_first(weights: Array) -> Array:
    weights[0] = 1 / weights.shape[1]
    return weights


@dataclass(frozen=True)
class Bounds:
    """Non-negative numbers between `low` [R] and `high` [R]: one that is known is both; one that is censored has 0 below it, or infinity above."""

    low: Array
    high: Array

    @classmethod
    def exactly(cls, values: Array) -> Bounds:
        """Numbers that are known."""
        return cls(values, values)

    def __truediv__(self, other: Bounds) -> Bounds:
        """Ratios, of which as much is known as follows."""
        with np.errstate(divide="ignore"):
            return Bounds(self.low / other.high, self.high / other.low)

    def fields(self, confidence: float, seeds: int) -> dict[str, Any]:
        """`value`, `low`, `high`, `censored` and `n` of a row: the estimate, and with two seeds or more the quantiles of the replicates.

        What nothing is known of is more than 0.
        """
        least, most = float(self.low[0]), float(self.high[0])
        above = np.isinf(most)
        below = least == 0 < most and not above
        fields: dict[str, Any] = {"value": most if below else least, "censored": int(above) - int(below), "n": seeds or None}
        if seeds > 1:
            tail = 0.5 - confidence / 2
            fields["low"] = float(np.quantile(self.low[1:], tail, method="lower"))
            fields["high"] = float(np.quantile(self.high[1:], 1 - tail, method="higher"))
        return fields
