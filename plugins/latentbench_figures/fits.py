"""Sigmoid curves through points, as in figure 5 of the Poisson VAE paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 5
"""Points that a curve of four parameters needs."""


@dataclass(frozen=True)
class Sigmoid:
    """y = low + (high - low) / (1 + exp(-(x - centre) / width))."""

    low: float
    high: float
    centre: float
    width: float

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The curve at x."""
        from scipy.special import expit

        values: NDArray[np.float64] = self.low + (self.high - self.low) * expit((x - self.centre) / self.width)
        return values


def fit_sigmoid(x: Sequence[float], y: Sequence[float]) -> Sigmoid | None:
    """The sigmoid with the least squared error at points; None where there are fewer than `LEAST` places. A falling one has `low` above `high`.

    For a centre and a width the ends follow by linear regression; the best of a grid is the start of Levenberg and Marquardt's method. Points
    without a bend determine no sigmoid, and keep the grid's, whose centre is no farther than their span away.
    """
    at, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(set(at.tolist())) < LEAST:
        return None
    start = _on_grid(at, values)
    from scipy.optimize import least_squares

    height = float(np.ptp(values)) or 1.0
    scale = np.array([height, height, np.ptp(at), np.ptp(at)])

    def residuals(p: NDArray[np.float64]) -> NDArray[np.float64]:
        return (Sigmoid(*(p * scale).tolist())(at) - values) / height

    found = least_squares(residuals, np.array(astuple(start)) / scale, method="lm", max_nfev=400)
    polished = Sigmoid(*(found.x * scale).tolist())
    inside = abs(polished.centre - at.mean()) <= 1.5 * np.ptp(at) and polished.width > 0
    return polished if found.success and inside else start


def _on_grid(x: NDArray[np.float64], y: NDArray[np.float64]) -> Sigmoid:
    from scipy.special import expit

    span = float(np.ptp(x))
    centres = np.linspace(x.min() - span, x.max() + span, 121)
    widths = span * np.geomspace(0.01, 2, 60)
    s = expit((x - centres[:, None, None]) / widths[:, None])  # [centres, widths, n]
    s_mean, y_mean = s.mean(-1), float(y.mean())
    covariance = ((s - s_mean[..., None]) * (y - y_mean)).sum(-1)
    variance = np.maximum(((s - s_mean[..., None]) ** 2).sum(-1), 1e-12)
    i, j = np.unravel_index(int(np.argmax(covariance**2 / variance)), covariance.shape)
    slope = float(covariance[i, j] / variance[i, j])
    low = y_mean - slope * float(s_mean[i, j])
    return Sigmoid(low, low + slope, float(centres[i]), float(widths[j]))


def unexplained_share(fit: Sigmoid, x: Sequence[float], y: Sequence[float]) -> float:
    """The share of the variance of y that a fit leaves."""
    values = np.asarray(y, dtype=np.float64)
    return float(np.mean((fit(np.asarray(x, dtype=np.float64)) - values) ** 2) / (np.var(values) or 1.0))
