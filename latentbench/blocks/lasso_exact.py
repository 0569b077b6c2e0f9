"""Lasso codes to a certified duality gap, by active sets where codes are sparse and by FISTA where they are dense."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from latentbench.blocks.lasso import check_lasso
from latentbench.blocks.lasso_active_set import is_compiled, solve_compiled
from latentbench.blocks.lasso_gap import duality_gap
from latentbench.blocks.lasso_newton import Problems, problems, solve_in_torch

Solver = Literal["auto", "active_set", "fista"]

SPARSE = 0.45
"""The share of active codes up to which `auto` takes the active set of an image."""
MARGIN = 0.8
"""The share of the tolerance that solvers aim at: their gap has the rounding of the images' dtype, the certificate has not."""
FLOAT32_REACH = 3e-6
"""Below this tolerance, relative to 1/2 |x|^2, codes are inferred in float64: gaps in float32 have errors of a tenth of it."""


class LassoCodes(NamedTuple):
    """Codes [B, K], and their duality gaps [B] in float64: by how much, at most, their objective exceeds its minimum."""

    codes: Tensor
    gap: Tensor


def solve_lasso(
    images: Tensor,
    dictionary: Tensor,
    l1: float,
    *,
    tolerance: float = 1e-5,
    solver: Solver = "auto",
    non_negative: bool = True,
    iterations: int = 20_000,
) -> LassoCodes:
    """Codes that minimise 1/2 |x - Phi z|^2 + lambda |z|_1 for each image x, to a duality gap of `tolerance` times 1/2 |x|^2, the objective at z = 0.

    `active_set` finds the active codes by coordinate descent on working sets that grow by the largest violations (Johnson & Guestrin 2015; Massias
    et al. 2018), and solves for them by Newton steps; compiled, where numba is installed (`pip install 'latentbench[fast]'`) and images are on the
    CPU, else in torch, as FISTA with Newton steps. `fista` is `lasso_ista` with restarts, whose images end one by one. `auto` takes the active set
    where it is compiled, and FISTA for images of which more than 45 % of the codes become active.

    The gap that is returned is computed in float64 from the codes as they are returned. Images that miss the tolerance in float32 are inferred again
    in float64, and so are all where the tolerance is below 3e-6; what FISTA has missed `auto` leaves to the active set. A gap above the tolerance
    remains where `iterations` do not suffice, or rounding codes to float32 costs more. **Look at the gap.** Codes that are zero are exactly 0.
    Images do not influence each other, but for rounding; codes of different solvers differ within the tolerance. Nothing is drawn.

    Cost: O(M K^2) once, and for an image O(M K) and, with n active codes, some dozens of O(K n) and a few of O(n^3); FISTA O(K^2) an iteration.
    Threads: as many as torch has (`torch.set_num_threads`), each with some of the images.

    Args:
        images: [B, M], flat, float32 or float64.
        dictionary: [M, K], columns of any norm, in the images' dtype and on their device.
        l1: lambda, above 0 for a gap that can be met: at 0 the dual has no more than its zero point.
        tolerance: of the gap, relative to 1/2 |x|^2.
        solver: `auto`, `active_set` or `fista`.
        non_negative: whether codes must not be negative.
        iterations: the most iterations of FISTA.

    Raises:
        ValueError: shapes or dtypes do not fit, a number is not finite, lambda is negative, the solver is another one, or the tolerance or the
            iterations are not above 0.
    """
    check_lasso(images, dictionary, l1)
    _check_how(solver, tolerance, iterations)
    images, dictionary = _checked(images), _checked(dictionary)
    energy, phi = 0.5 * images.double().square().sum(1), dictionary.double()
    codes = images.new_zeros(len(images), dictionary.shape[1])
    gap = torch.full_like(energy, torch.inf)
    for dtype, by, most in _attempts(images.dtype, solver, tolerance, iterations):
        late = torch.nonzero(gap > tolerance * energy).squeeze(1)
        if len(late):
            given = problems(images[late].to(dtype), dictionary.to(dtype), l1, non_negative)
            codes[late] = _solve(given, MARGIN * tolerance, by, most).to(codes.dtype)
            gap[late] = duality_gap(images[late], phi, codes[late], l1, non_negative=non_negative)
    return LassoCodes(codes, gap)


def _checked(given: Tensor) -> Tensor:
    """The images or the dictionary, without gradient."""
    if given.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"images and dictionary must be float32 or float64, got {given.dtype}")
    if not bool(given.isfinite().all()):
        raise ValueError("images or dictionary have numbers that are not finite")
    return given.detach()


def _check_how(solver: str, tolerance: float, iterations: int) -> None:
    if solver not in get_args(Solver):
        raise ValueError(f"no solver {solver!r}; there are {', '.join(get_args(Solver))}")
    if not 0 < tolerance < math.inf:
        raise ValueError(f"the tolerance of a duality gap must be a number above 0, got {tolerance}")
    if iterations < 1:
        raise ValueError(f"FISTA needs at least one iteration, got {iterations}")


def _attempts(dtype: torch.dtype, solver: Solver, tolerance: float, iterations: int) -> Iterator[tuple[torch.dtype, Solver, int]]:
    """In which dtype, by which solver and in how many iterations at most images are inferred, as long as they miss the tolerance."""
    if dtype is torch.float32 and tolerance >= FLOAT32_REACH:
        yield torch.float32, solver, min(iterations, 2000)
    yield torch.float64, solver, iterations
    if solver == "auto":
        yield torch.float64, "active_set", iterations


def _solve(given: Problems, tolerance: float, solver: Solver, iterations: int) -> Tensor:
    """Codes by the solver that is asked for, or that suits each image."""
    compiled = given.drive.device.type == "cpu" and is_compiled()
    if solver == "fista" or not compiled:
        return solve_in_torch(given, tolerance, iterations, newton=solver == "active_set")
    size = given.drive.shape[1]
    codes, dense = solve_compiled(given, tolerance, int(SPARSE * size) if solver == "auto" else size)
    if bool(dense.any()):
        codes[dense] = solve_in_torch(given.of(dense), tolerance, iterations, newton=False)
    return codes
