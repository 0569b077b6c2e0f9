"""FISTA that ends image by image at a duality gap, and with Newton steps on the active codes: solvers of the Lasso in torch alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from latentbench.blocks.lasso import batches
from latentbench.blocks.lasso_gap import gap_from
from latentbench.blocks.lasso_ista import Momentum, shrink

CHECK_EVERY = 20
"""Iterations of FISTA between two looks at the gap; each look costs what an iteration does."""
NEWTON_BELOW = 0.004
"""Newton steps are taken below this gap, relative to 1/2 |x|^2."""


class Gram:
    """Phi' Phi [K, K] of a dictionary [M, K]."""

    def __init__(self, dictionary: Tensor) -> None:
        self.matrix = dictionary.T @ dictionary

    @cached_property
    def lipschitz(self) -> float:
        """Its largest eigenvalue, the steepness that FISTA's steps are made for; an active set does without it."""
        return float(torch.linalg.eigvalsh(self.matrix)[-1]) or 1.0  # a dictionary of zeros has no use for a step


@dataclass(frozen=True)
class Problems:
    """Many Lasso problems of one dictionary: Phi' x [B, K], its Gram matrix, 1/2 |x|^2 [B] in float64, and lambda."""

    drive: Tensor
    gram: Gram
    energy: Tensor
    l1: float
    non_negative: bool

    def of(self, rows: Tensor | slice) -> Problems:
        """Those of some images."""
        return replace(self, drive=self.drive[rows], energy=self.energy[rows])

    def correlation(self, z: Tensor) -> Tensor:
        """Phi' (x - Phi z) [B, K]."""
        return torch.addmm(self.drive, z, self.gram.matrix, alpha=-1)

    def gap(self, z: Tensor, correlation: Tensor) -> Tensor:
        """The duality gap [B], to the precision of the dtype: |r|^2 = |x|^2 - z'b - z'c and x'r = |x|^2 - z'b."""
        zb, zc = (z.double() * self.drive).sum(1), (z.double() * correlation).sum(1)
        rr = (2 * self.energy - zb - zc).clamp(min=0)
        return gap_from(2 * self.energy - zb, rr, z, correlation, self.l1, self.non_negative)

    def objective(self, z: Tensor, correlation: Tensor) -> Tensor:
        """1/2 |x - Phi z|^2 + lambda |z|_1 less 1/2 |x|^2 [B]."""
        return self.l1 * z.abs().double().sum(1) - 0.5 * (z.double() * (self.drive + correlation)).sum(1)


def problems(images: Tensor, dictionary: Tensor, l1: float, non_negative: bool) -> Problems:
    """The problems of images [B, M] with a dictionary [M, K]."""
    return Problems(images @ dictionary, Gram(dictionary), 0.5 * images.double().square().sum(1), l1, non_negative)


def solve_in_torch(given: Problems, tolerance: float, iterations: int, newton: bool) -> Tensor:
    """Codes [B, K] by FISTA from 0, for each image until its gap is at most `tolerance` 1/2 |x|^2, for at most `iterations`.

    Images that are done leave their batch at every twentieth iteration. The gap is that of the problems' dtype.
    """
    codes = torch.zeros_like(given.drive)
    for part in batches(given.drive):
        _solve_part(given.of(part), tolerance, iterations, newton, codes[part])
    return codes


def _solve_part(given: Problems, tolerance: float, iterations: int, newton: bool, codes: Tensor) -> None:
    """Write the codes of a part."""
    rows = torch.arange(len(codes), device=codes.device)
    z = torch.zeros_like(codes)
    momentum, lipschitz = Momentum(z), given.gram.lipschitz
    gram, l1 = given.gram.matrix / lipschitz, given.l1 / lipschitz
    for _ in range(0, iterations, CHECK_EVERY):
        shrink(given.drive / lipschitz, gram, l1, CHECK_EVERY, given.non_negative, z, momentum)
        correlation = given.correlation(z)
        gap = given.gap(z, correlation)
        if newton and bool((gap <= NEWTON_BELOW * given.energy).any()):
            z = newton_step(given, z, correlation)
            momentum, gap = Momentum(z), given.gap(z, given.correlation(z))
        left = gap > tolerance * given.energy
        codes[rows[~left]] = z[~left]
        if bool(left.all()):
            continue
        rows, given, z = rows[left], given.of(left), z[left]
        momentum.keep(left)
        if not len(rows):
            return
    codes[rows] = z


def newton_step(given: Problems, z: Tensor, correlation: Tensor) -> Tensor:
    """Codes after a Newton step on the active ones, for images whose objective it lowers; the others as they were.

    G d = c - lambda sign z over the active codes; codes that would change sign are set to 0. The active Gram matrices [B, n, n] are as large as the
    largest number n of active codes; an image whose active columns are dependent stays as it is.
    """
    n = int((z != 0).sum(1).max())
    if n == 0:
        return z
    active, places = (z != 0).to(torch.uint8).topk(n, dim=1)  # [B, n], active codes first
    used = active.bool()
    gram = given.gram.matrix[places.unsqueeze(2), places.unsqueeze(1)] * (used.unsqueeze(2) & used.unsqueeze(1))
    gram.diagonal(dim1=1, dim2=2).add_((~used).to(z.dtype))  # rows that are not used are those of the unit matrix
    right = torch.where(used, (correlation - given.l1 * z.sign()).gather(1, places), 0.0)
    upper, failed = torch.linalg.cholesky_ex(gram, upper=True)
    step = torch.cholesky_solve(right.unsqueeze(2), upper, upper=True).squeeze(2)
    moved = z.scatter_add(1, places, torch.where(used, step, 0.0))
    moved = torch.where(moved * z > 0, moved, 0.0)
    better = (failed == 0) & (given.objective(moved, given.correlation(moved)) < given.objective(z, correlation))
    return torch.where(better.unsqueeze(1), moved, z)
