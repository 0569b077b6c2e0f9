"""Curves through measured points, and where they cross a value."""

from __future__ import annotations

import numpy as np

from latentbench_derived.resampling import Array, Bounds


def isotonic(y: Array) -> Array:
    """The non-decreasing points [R, P] that are nearest to y [R, P] by squared error: max_{j <= i} min_{k >= i} mean(y_j, ..., y_k).

    Robertson, Wright & Dykstra, Order Restricted Statistical Inference (1988), theorem 1.4.4.
    """
    points = y.shape[1]
    sums = np.concatenate([np.zeros((len(y), 1)), y.cumsum(1)], axis=1)
    fitted = np.full(y.shape, -np.inf)
    for j in range(points):
        means = (sums[:, j + 1 :] - sums[:, j : j + 1]) / np.arange(1, points - j + 1)  # [R, P - j], of y_j ... y_k
        smallest = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]  # over k >= i
        fitted[:, j:] = np.maximum(fitted[:, j:], smallest)
    return fitted


def crossing(x: Array, y: Array, target: Array, log: bool = False) -> Bounds:
    """y where x first reaches `target` [R], on straight lines between points x, y [R, P] of which x does not fall; over ln y with `log`.

    A target outside the x that were measured is censored: y lies beyond its value at that end, on the side to which the curve goes. y >= 0.
    """
    rows, last = np.arange(len(x)), x.shape[1] - 1
    reached = x >= target[:, None]
    right = np.where(reached.any(1), reached.argmax(1), last)
    left = np.maximum(right - 1, 0)
    run, start, end = x[rows, right] - x[rows, left], y[rows, left], y[rows, right]
    share = np.clip(np.divide(target - x[rows, left], run, out=np.ones_like(target), where=run > 0), 0, 1)
    between = start * (end / start) ** share if log else start + share * (end - start)
    before, after = target < x[:, 0], target > x[:, last]
    found = np.where(before, y[:, 0], np.where(share == 1, end, between))  # the ends as they are, unrounded
    rises = y[:, last] >= y[:, 0]
    return Bounds(np.where((before & rises) | (after & ~rises), 0.0, found), np.where((after & rises) | (before & ~rises), np.inf, found))


def sigmoid_at(x: Array, y: Array, target: Array) -> Array:
    """The value at `target` [R] of the least-squares sigmoid a + (b - a) / (1 + exp(-(x - c) / d)) through points x, y [R, P], P > 4.

    Row 0 is fitted by scipy; the others, which are near it, by Gauss-Newton steps from there.
    """
    from scipy.optimize import curve_fit

    middle, width = float(x[0].mean()), float(np.ptp(x[0])) / 4
    start, _ = curve_fit(
        lambda x, a, b, c, d: _sigmoid(np.array([[a, b, c, d]]), x[None])[0], x[0], y[0], [y[0, 0], y[0, -1], middle, width], maxfev=10_000
    )
    fit = np.tile(start, (len(x), 1))  # [R, 4]
    for _ in range(GAUSS_NEWTON):
        fit += np.einsum("rip,rp->ri", np.linalg.pinv(_slopes(fit, x)), y - _sigmoid(fit, x))
    at: Array = _sigmoid(fit, target[:, None])[:, 0]
    return at


GAUSS_NEWTON = 6
"""Steps; the third already changes no digit that is shown."""


def _sigmoid(fit: Array, x: Array) -> Array:
    a, b, c, d = fit.T[:, :, None]
    value: Array = a + (b - a) / (1 + np.exp(-(x - c) / d))
    return value


def _slopes(fit: Array, x: Array) -> Array:
    """Derivatives of the sigmoid by its four numbers, [R, P, 4]."""
    a, b, c, d = fit.T[:, :, None]
    s = 1 / (1 + np.exp(-(x - c) / d))
    slope = (b - a) * s * (1 - s) / d
    return np.stack([1 - s, s, -slope, -slope * (x - c) / d], axis=2)
