"""A certificate of Lasso codes: the duality gap, which bounds by how much their objective exceeds its minimum."""

from __future__ import annotations

import torch
from torch import Tensor

from latentbench.blocks.lasso import check_penalty

ROWS = 1024
"""Images whose gap is computed together, in float64."""


def duality_gap(images: Tensor, dictionary: Tensor, codes: Tensor, l1: float, *, non_negative: bool = True) -> Tensor:
    """By how much, at most, the objective of codes z exceeds its minimum [B], in float64.

    With r = x - Phi z the dual point is theta = s r, where s in [0, lambda / max_k |phi_k' r|] (max_k phi_k' r, where that is positive, for codes
    that must not be negative) maximises the dual objective (Kim et al. 2007, sec. III):

        gap = 1/2 |r|^2 + lambda |z|_1 - (s x'r - s^2 |r|^2 / 2).

    For any z it is at least the excess over the minimum (weak duality), and 0 at the optimum, where s = 1. It is computed in float64, so its own
    error is some 1e-15 |x|^2; for codes in float32 it is that of the rounded codes.

    Args:
        images: x [B, M], flat.
        dictionary: Phi [M, K].
        codes: z [B, K], not negative where `non_negative`.
        l1: lambda, at least 0.
        non_negative: whether codes must not be negative.

    Raises:
        ValueError: lambda is negative or not finite.
    """
    check_penalty(l1)
    phi = dictionary.double()
    parts = [_gap(x.double(), phi, z.double(), l1, non_negative) for x, z in zip(images.split(ROWS), codes.split(ROWS), strict=True)]
    return torch.cat(parts) if parts else images.new_zeros(0, dtype=torch.float64)


def _gap(x: Tensor, phi: Tensor, z: Tensor, l1: float, non_negative: bool) -> Tensor:
    r = x - z @ phi.T
    correlation = r @ phi
    return gap_from((x * r).sum(1), r.square().sum(1), z, correlation, l1, non_negative)


def gap_from(xr: Tensor, rr: Tensor, z: Tensor, correlation: Tensor, l1: float, non_negative: bool) -> Tensor:
    """The gap [B] from x'r and |r|^2 [B] in float64, codes and their correlations Phi' r [B, K]."""
    most = (correlation if non_negative else correlation.abs()).amax(1).clamp(min=0).double()
    s = torch.where(rr > 0, xr / rr, 0.0).clamp(min=0)
    s = torch.where(most > 0, torch.minimum(s, l1 / most), s)
    gap: Tensor = 0.5 * rr + l1 * z.abs().sum(1) - s * xr + 0.5 * s.square() * rr
    return gap.clamp(min=0)
