"""How much a relaxation of Poisson counts smooths: the moments of relaxed counts, and the one number at which relaxations are comparable.

With all arrivals counted, Campbell's theorem has, per unit of rate and whatever the rate,

    E z / r = integral of g dS,    Var z / r = integral of g^2 dS,    over S > 0.

True counts have E z = Var z, so the difference of the two, the integral of g (1 - g), is what smoothing costs in variance. It is the effective width.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from latentbench.blocks.indicators import INDICATORS, Relaxation

NODES = 64
"""Of Gauss and Legendre's quadrature, which is exact for the polynomial ramps and right to rounding for the cosine."""


class Moments(NamedTuple):
    """Mean and variance of relaxed counts over the rate; 1 and 1 for true counts."""

    mean: float
    variance: float


def relaxed_moments(relaxation: Relaxation, temperature: float) -> Moments:
    """The moments of relaxed counts with all arrivals, at every rate; those of `gumbel_softmax`, which depend on the rate, to first order in T.

    For T <= 1 the ramps have the mean 1 and the variances 1 - T / 3 (linear), 1 - 9 T / 35 (cubic), 1 - 50 T / 231 (quintic), 1 - T / 4 (cosine).
    """
    if relaxation == "gumbel_softmax":
        return Moments(1.0, 1 - temperature)
    if relaxation == "sigmoid":
        mean = temperature * math.log1p(math.exp(-1 / temperature)) + 1
        return Moments(mean, mean - temperature / (1 + math.exp(-1 / temperature)))
    early, (time, weight) = max(0.0, 1 - temperature), _nodes(max(0.0, 1 - temperature), 1 + temperature)
    g = INDICATORS[relaxation].value(torch.from_numpy(time), temperature).numpy()
    return Moments(early + float(weight @ g), early + float(weight @ g**2))


def effective_width(relaxation: Relaxation, temperature: float) -> float:
    """The share of a count's variance that a relaxation removes beyond what it does to the mean: (E z - Var z) / r, with all arrivals.

    It is T / (1 + e^(-1/T)) for the sigmoid, T to first order for `gumbel_softmax`, and for T <= 1, T / 3, 9 T / 35, 50 T / 231 and T / 4 for the
    linear, cubic, quintic and cosine ramp. The sigmoid at T smooths as much as the cubic ramp at 3.9 T: compare relaxations at equal widths.

    Raises:
        ValueError: the temperature is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"a relaxation needs a positive temperature, got {temperature}")
    mean, variance = relaxed_moments(relaxation, temperature)
    return mean - variance


def _nodes(low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places and weights of a quadrature between two limits."""
    x, weight = np.polynomial.legendre.leggauss(NODES)
    half = (high - low) / 2
    return low + half * (x + 1), half * weight
