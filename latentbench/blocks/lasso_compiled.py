"""The active-set solver of the Lasso in compiled code: coordinate descent finds the active codes, Newton's method solves for them. Needs numba.

An image has its dictionary's Gram matrix G, b = Phi' x and c = b - G z = Phi' (x - Phi z). Coordinates of a working set W are compact: b, c, z and
G [W, W] have its order, so that a sweep reads memory in order. Scalars are summed in float64, whatever the dtype of the arrays.

`fastmath` lets sums be reordered, for SIMD, and products contracted; infinities and NaN stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

FIRST_SWEEPS, LATER_SWEEPS = 8, 4
"""Sweeps over a new working set before its gap is looked at, and between two Newton steps."""
GROWTH = 0.05
"""A working set takes in every code whose violation of its condition is at least this share of the largest one."""
INNER = 0.1
"""A working set is solved to this share of the gap of all codes."""
NEWTON_BELOW = 0.004
"""Newton steps are taken below this gap, relative to 1/2 |x|^2: further away the active codes are not known well enough."""
ROUNDS, GROWTHS = 100, 200
"""The most Newton steps for a working set, and the most working sets of an image; neither is reached but at the limits of a dtype."""
LEAST_PIVOT = 1e-7
"""Below this a Gram matrix of active columns is taken as singular: the columns have unit norm or so."""

Array = np.ndarray[Any, Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function when it is first called, and keep the code on disk; it runs without Python's lock."""
    return cast("Function", njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy")(function))


@compiled
def solve(b: Array, gram: Array, energy: Array, l1: float, non_negative: bool, tolerance: float, limit: int, z: Array) -> None:
    """Write codes to `z` [B, K], 0 before, whose gap is at most `tolerance` `energy`: b is Phi' x [B, K], `energy` 1/2 |x|^2 [B] in float64.

    The first code of an image that needs more than `limit` active ones is NaN, and the search for the others is given up.
    """
    size = gram.shape[0]
    work, square = np.empty((6, size), b.dtype), np.empty((2, size, size), b.dtype)
    places = np.empty((2, size), np.int64)
    for i in range(len(b)):
        if not solve_one(b[i], gram, energy[i], l1, non_negative, tolerance * energy[i], limit, z[i], work, square, places):
            z[i, 0] = np.nan


@compiled
def solve_one(
    b: Array,
    gram: Array,
    energy: float,
    l1: float,
    non_negative: bool,
    target: float,
    limit: int,
    z: Array,
    work: Array,
    square: Array,
    places: Array,
) -> bool:
    """Codes of one image: working sets that grow until the gap of all codes is at most `target`. Whether no more than `limit` were active."""
    c, zw, bw, cw = b.copy(), work[0], work[1], work[2]
    w, gw, n = places[0], square[0], 0
    for _ in range(GROWTHS):
        gap = gap_of(zw, bw, cw, n, largest(c, len(c), non_negative), energy, l1)
        if gap <= target:
            break
        n = grow(w, n, zw, c, b.dtype.type(l1), non_negative)
        gather(w, n, b, gram, zw, bw, cw, gw)
        for step in range(ROUNDS):
            for _ in range(LATER_SWEEPS if step else FIRST_SWEEPS):
                sweep(zw, cw, gw, n, b.dtype.type(l1), non_negative)
            if gap_of(zw, bw, cw, n, largest(cw, n, non_negative), energy, l1) <= INNER * max(gap, target):
                break
            if gap <= NEWTON_BELOW * energy:
                newton(zw, bw, cw, gw, n, l1, square[1], places[1], work[3], work[4], work[5])
                if gap_of(zw, bw, cw, n, largest(cw, n, non_negative), energy, l1) <= INNER * max(gap, target):
                    break
            elif np.count_nonzero(zw[:n]) > limit:
                return False
        if np.count_nonzero(zw[:n]) > limit:
            return False
        correlations(c, b, gram, w, zw, n)
    for a in range(n):
        z[w[a]] = zw[a]
    return True


@compiled
def gap_of(z: Array, b: Array, c: Array, n: int, most: float, energy: float, l1: float) -> float:
    """The duality gap at the first `n` codes, where `most` is the largest correlation c that a condition bounds.

    With r = x - Phi z, |r|^2 = |x|^2 - z'b - z'c and x'r = |x|^2 - z'b; the dual point s r with the best s in reach of `most` (see `lasso_gap`).
    """
    zb, zc, norm = 0.0, 0.0, 0.0
    for a in range(n):
        zb += z[a] * b[a]
        zc += z[a] * c[a]
        norm += abs(z[a])
    rr, xr = max(2 * energy - zb - zc, 0.0), 2 * energy - zb
    s = max(xr / rr, 0.0) if rr > 0 else 0.0
    if most > 0:
        s = min(s, l1 / most)
    return 0.5 * rr + l1 * norm - s * xr + 0.5 * s * s * rr


@compiled
def largest(c: Array, n: int, non_negative: bool) -> float:
    """The largest of n correlations, or of their magnitudes for codes of both signs; at least 0."""
    most: float = c.dtype.type(0)
    for a in range(n):
        most = max(most, c[a] if non_negative else abs(c[a]))
    return most


@compiled
def grow(w: Array, n: int, z: Array, c: Array, l1: float, non_negative: bool) -> int:
    """Keep the active ones of n places in w and z, add those of large violation, and return how many there are. It spoils c."""
    kept = 0
    for a in range(n):
        if z[a] != 0:
            w[kept], z[kept] = w[a], z[a]
            c[w[a]] = 0  # so that it is not added again
            kept += 1
    most = largest(c, len(c), non_negative)
    cut = l1 + GROWTH * (most - l1)
    for k in range(len(c)):
        size = c[k] if non_negative else abs(c[k])
        if size > l1 and size >= cut:
            w[kept], z[kept] = k, 0
            kept += 1
    return kept


@compiled
def gather(w: Array, n: int, b: Array, gram: Array, z: Array, bw: Array, cw: Array, gw: Array) -> None:
    """Fill b, c and G of the working set."""
    for a in range(n):
        row, to = gram[w[a]], gw[a]
        for d in range(n):
            to[d] = row[w[d]]
        bw[a] = cw[a] = b[w[a]]
    for a in range(n):
        if z[a] != 0:
            subtract(cw, z[a], gw[a], 0, n)


@compiled
def correlations(c: Array, b: Array, gram: Array, w: Array, z: Array, n: int) -> None:
    """c = b - G z, of all codes."""
    c[:] = b
    for a in range(n):
        if z[a] != 0:
            subtract(c, z[a], gram[w[a]], 0, len(c))


@compiled
def subtract(to: Array, factor: float, row: Array, first: int, n: int) -> None:
    """Take `factor` times `row` from `to`, between two places."""
    for d in range(first, n):
        to[d] -= factor * row[d]


@compiled
def sweep(z: Array, c: Array, gram: Array, n: int, l1: float, non_negative: bool) -> None:
    """Minimise over each of n codes in turn: z_k = T(z_k G_kk + c_k) / G_kk."""
    for a in range(n):
        curvature = gram[a, a]
        u = z[a] * curvature + c[a]
        new = z.dtype.type(0)
        if curvature > 0 and u > l1:
            new = (u - l1) / curvature
        elif curvature > 0 and u < -l1 and not non_negative:
            new = (u + l1) / curvature
        if new != z[a]:
            change = new - z[a]
            z[a] = new
            subtract(c, change, gram[a], 0, n)


@compiled
def newton(
    z: Array, b: Array, c: Array, gram: Array, n: int, l1: float, upper: Array, active: Array, step: Array, z_new: Array, c_new: Array
) -> None:
    """Solve for the active codes as if their signs were known, codes that would change sign set to 0.

    Where that does not lower the objective, the step ends at the first code that reaches 0: the objective falls along it. Nothing happens where the
    active columns are dependent.
    """
    m = 0
    for a in range(n):
        if z[a] != 0:
            active[m] = a
            m += 1
    for i in range(m):
        for j in range(i, m):
            upper[i, j] = gram[active[i], active[j]]
        step[i] = c[active[i]] - (l1 if z[active[i]] > 0 else -l1)
    if not factorise(upper, m):
        return
    substitute(upper, step, m)
    reach = 1.0
    for i in range(m):
        before = z[active[i]]
        if (before + step[i]) * before <= 0:
            reach = min(reach, -before / step[i])
    move(z, c, gram, n, active, step, m, 1.0, z_new, c_new)
    if reach < 1 and objective(z_new, b, c_new, n, l1) >= objective(z, b, c, n, l1):
        move(z, c, gram, n, active, step, m, reach, z_new, c_new)
    z[:n], c[:n] = z_new[:n], c_new[:n]


@compiled
def move(z: Array, c: Array, gram: Array, n: int, active: Array, step: Array, m: int, length: float, z_new: Array, c_new: Array) -> None:
    """z and c after a step of some length; a code that reaches 0, or would change sign, is 0."""
    z_new[:n], c_new[:n] = z[:n], c[:n]
    for i in range(m):
        a = active[i]
        new = z.dtype.type(z[a] + length * step[i])
        if new * z[a] <= 0 or (length < 1 and abs(new) <= 1e-6 * abs(z[a])):  # the one that ends the step, up to rounding
            new = z.dtype.type(0)
        z_new[a] = new
        subtract(c_new, new - z[a], gram[a], 0, n)


@compiled
def objective(z: Array, b: Array, c: Array, n: int, l1: float) -> float:
    """1/2 |x - Phi z|^2 + lambda |z|_1 less 1/2 |x|^2, of n codes."""
    value = 0.0
    for a in range(n):
        value += l1 * abs(z[a]) - 0.5 * z[a] * (b[a] + c[a])
    return value


@compiled
def factorise(u: Array, n: int) -> bool:
    """Cholesky: replace the upper triangle of a matrix [n, n] by U with U'U = it. Four rows at a time, so that others are read a quarter as often.

    Returns whether it is positive definite.
    """
    for k in range(0, n, 4):
        end = min(k + 4, n)
        for p in range(k, end):
            if not u[p, p] > LEAST_PIVOT:
                return False
            scale, row = u.dtype.type(1 / np.sqrt(u[p, p])), u[p]
            for j in range(p, n):
                row[j] *= scale
            for i in range(p + 1, end):
                subtract(u[i], row[i], row, i, n)
        if end == k + 4:
            for i in range(end, n, 2):
                subtract_four(u, k, i, n)
    return True


@compiled
def subtract_four(u: Array, k: int, i: int, n: int) -> None:
    """Take the products of four rows from row i, and from row i + 1 where there is one."""
    r0, r1, r2, r3, one = u[k], u[k + 1], u[k + 2], u[k + 3], u[i]
    f0, f1, f2, f3 = r0[i], r1[i], r2[i], r3[i]
    if i + 1 == n:
        one[i] -= f0 * f0 + f1 * f1 + f2 * f2 + f3 * f3
        return
    other, g0, g1, g2, g3 = u[i + 1], r0[i + 1], r1[i + 1], r2[i + 1], r3[i + 1]
    for j in range(i, n):
        one[j] -= f0 * r0[j] + f1 * r1[j] + f2 * r2[j] + f3 * r3[j]
        other[j] -= g0 * r0[j] + g1 * r1[j] + g2 * r2[j] + g3 * r3[j]  # at j = i below the triangle, where nothing is read


@compiled
def substitute(u: Array, right: Array, n: int) -> None:
    """Replace `right` by the solution of U'U d = right."""
    for k in range(n):
        right[k] /= u[k, k]
        subtract(right, right[k], u[k], k + 1, n)
    for k in range(n - 1, -1, -1):
        total, row = right[k], u[k]
        for j in range(k + 1, n):
            total -= row[j] * right[j]
        right[k] = total / row[k]
