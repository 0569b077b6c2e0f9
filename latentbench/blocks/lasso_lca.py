"""Lasso codes by the locally competitive algorithm (Rozell, Johnson, Baraniuk & Olshausen 2008), with a soft threshold."""

from __future__ import annotations

import torch
from torch import Tensor

from latentbench.blocks.lasso import batches, check_lasso, soft_threshold

CHECK_EVERY = 10
"""Iterations between two checks of how much codes still change."""


def lasso_lca(
    images: Tensor,
    dictionary: Tensor,
    l1: float,
    *,
    iterations: int,
    tau: float,
    non_negative: bool = True,
    tolerance: float = 0.0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Codes by the locally competitive algorithm.

    Membrane potentials u follow tau du/dt = Phi' x - u - (Phi' Phi - 1) a with a = T(u), the soft threshold at lambda. Where they rest, a is an
    optimum of 1/2 |x - Phi a|^2 + lambda |a|_1 (Rozell et al. 2008, eqs. 2.3 and 2.8).

    An iteration is that of lca-pytorch: a = T(u), from u = 0, and then an Euler step of u. The codes are the a of the last one, so after
    `iterations` of them u has taken `iterations` - 1 steps that count, and a single iteration gives codes of 0.

    It approaches the optimum along u's trajectory, over times of several tau, without a bound on the objective as `lasso_ista` has; with a tau
    below the largest eigenvalue of Phi' Phi it may oscillate, below half of it diverge. `kkt_residual` says how near a result is. Codes that are
    zero are exactly 0.
    Images do not influence each other, but for rounding and for `tolerance`, which ends a batch when its last image is done. Nothing is drawn.

    Cost: O(M K^2) once, O(B K (M + n K)) for the codes of n iterations; memory O(B K + K^2). With a `tolerance` the host waits for the device at
    every tenth iteration, else never.

    Args:
        images: [B, M], flat, float32 or float64.
        dictionary: [M, K], columns of unit norm, in the images' dtype and on their device.
        l1: lambda, at least 0.
        iterations: how many, at least 1.
        tau: the time constant in iterations.
        non_negative: whether the threshold lets no negative potential through.
        tolerance: end when no potential changes by more than this / tau in a step; 0 goes through all iterations.
        dtype: of the product of codes with the Gram matrix, where it differs from the images' (bfloat16, whose rounding of 2^-9 limits the accuracy).

    Returns:
        a [B, K], in the images' dtype.

    Raises:
        ValueError: shapes or dtypes do not fit, or lambda is negative.
    """
    check_lasso(images, dictionary, l1)
    unit = torch.eye(dictionary.shape[1], dtype=dictionary.dtype, device=dictionary.device)
    lateral = (dictionary.T @ dictionary - unit) / tau
    lateral = lateral if dtype is None else lateral.to(dtype)
    drive = images @ dictionary / tau
    codes = torch.empty_like(drive)
    for part in batches(drive):
        _compete(drive[part], lateral, l1, iterations, 1 - 1 / tau, non_negative, tolerance / tau, codes[part])
    return codes


def _compete(drive: Tensor, lateral: Tensor, l1: float, iterations: int, leak: float, non_negative: bool, least_change: float, a: Tensor) -> None:
    """Write the codes for a drive [B, K] / tau and lateral weights [K, K] / tau to `a`; nothing is allocated on the way.

    The step of u that ends the last iteration reaches no code, so it is not taken.
    """
    u = torch.zeros_like(drive)
    before = torch.empty_like(u) if least_change else None
    for step in range(iterations - 1):
        soft_threshold(u, l1, non_negative, a)
        looks = before is not None and step % CHECK_EVERY == CHECK_EVERY - 1
        if before is not None and looks:
            before.copy_(u)
        if lateral.dtype == u.dtype:
            u.addmm_(a, lateral, beta=leak, alpha=-1).add_(drive)
        else:
            u.mul_(leak).add_(drive).sub_(a.to(lateral.dtype) @ lateral)
        if before is not None and looks and float(before.sub_(u).abs_().max()) <= least_change:
            break
    soft_threshold(u, l1, non_negative, a)
