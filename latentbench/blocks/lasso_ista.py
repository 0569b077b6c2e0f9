"""Lasso codes by iterative shrinkage-thresholding (Daubechies et al. 2004), and its accelerated form FISTA (Beck & Teboulle 2009)."""

from __future__ import annotations

import torch
from torch import Tensor

from latentbench.blocks.lasso import batches, check_lasso, soft_threshold

CHECK_EVERY = 5
"""Iterations between two checks of how much codes still change."""


def lasso_ista(
    images: Tensor,
    dictionary: Tensor,
    l1: float,
    *,
    iterations: int,
    accelerated: bool = True,
    restart: bool = True,
    non_negative: bool = True,
    tolerance: float = 0.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Codes that minimise 1/2 |x - Phi z|^2 + lambda |z|_1 for each image x, by iterative shrinkage-thresholding from 0.

    z <- T(y + Phi' (x - Phi y) / L), the soft threshold at lambda / L, with L the largest eigenvalue of Phi' Phi. y is z; or, accelerated,
    z + (t - 1) / t' (z - z_before) with t' = (1 + sqrt(1 + 4 t^2)) / 2 (Beck & Teboulle 2009, eqs. 4.1 to 4.3). With restarts t starts again from
    1 for an image whose momentum points uphill, (y - z)' (z - z_before) > 0 (O'Donoghue & Candes 2015, eq. 13).

    In exact arithmetic, with optimum z* and n steps, the objective is above its minimum by at most L |z*|^2 / (2 n), and never rises; accelerated
    without restarts by at most 2 L |z*|^2 / (n + 1)^2. `kkt_residual` says how near a result is. Codes that are zero are exactly 0. Images do not
    influence each other, but for rounding and for `tolerance`, which ends a batch when its last image is done. Nothing is drawn.

    Cost: O(M K^2 + K^3) once, O(B K (M + n K)) for the codes; memory O(B K + K^2). The host waits for the device once for L, and with a
    `tolerance` at every fifth step.

    Args:
        images: [B, M], flat, float32 or float64.
        dictionary: [M, K], columns of any norm, in the images' dtype and on their device.
        l1: lambda, at least 0.
        iterations: n, how many steps.
        accelerated: whether steps have momentum.
        restart: whether momentum is dropped where it leads uphill.
        non_negative: whether codes are cut at 0 after the threshold, as in the paper.
        tolerance: end when no code changes by more in a step; 0 goes through all iterations.
        dtype: of the product of codes with the Gram matrix, where it differs from the images' (bfloat16, whose rounding of 2^-9 limits the accuracy).

    Returns:
        z [B, K], in the images' dtype.

    Raises:
        ValueError: shapes or dtypes do not fit, or lambda is negative.
    """
    check_lasso(images, dictionary, l1)
    gram = dictionary.T @ dictionary
    lipschitz = float(torch.linalg.eigvalsh(gram)[-1]) or 1.0  # a dictionary of zeros has no use for a step
    drive, gram = images @ dictionary / lipschitz, gram / lipschitz
    gram = gram if dtype is None else gram.to(dtype)
    codes = torch.zeros_like(drive)
    for part in batches(drive):
        shrink(drive[part], gram, l1 / lipschitz, iterations, non_negative, codes[part], Momentum(codes[part]), accelerated, restart, tolerance)
    return codes


class Momentum:
    """Where the next step of each image starts, y [B, K], and its t [B, 1]."""

    def __init__(self, z: Tensor) -> None:
        self.y = z.clone()
        self.t = torch.ones(len(z), 1, dtype=z.dtype, device=z.device)

    def keep(self, rows: Tensor) -> None:
        """Drop the other images."""
        self.y, self.t = self.y[rows], self.t[rows]


def shrink(
    drive: Tensor,
    gram: Tensor,
    l1: float,
    iterations: int,
    non_negative: bool,
    z: Tensor,
    momentum: Momentum,
    accelerated: bool = True,
    restart: bool = True,
    tolerance: float = 0.0,
) -> None:
    """Write the codes for Phi' x / L [B, K], Phi' Phi / L [K, K] and lambda / L to `z`, which holds the first ones; `momentum` is carried on."""
    y, t = momentum.y, momentum.t
    moved, new = torch.empty_like(z), torch.empty_like(z)
    for step in range(iterations):
        if gram.dtype == y.dtype:
            torch.addmm(drive, y, gram, alpha=-1, out=moved).add_(y)
        else:
            torch.add(drive, y, out=moved).sub_(y.to(gram.dtype) @ gram)
        soft_threshold(moved, l1, non_negative, new)
        change = z.sub_(new)  # z_before - z: the step, backwards
        if accelerated:
            if restart:
                uphill = (y.sub_(new) * change).sum(1, keepdim=True) < 0
                t.masked_fill_(uphill, 1.0)
            following = (1 + (1 + 4 * t.square()).sqrt()) / 2
            torch.addcmul(new, change, (1 - t) / following, out=y)
            t = momentum.t = following
        else:
            y.copy_(new)
        small = tolerance > 0 and step % CHECK_EVERY == CHECK_EVERY - 1 and float(change.abs().max()) <= tolerance
        z.copy_(new)
        if small:
            break
