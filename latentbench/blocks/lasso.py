"""What solvers of many Lasso problems with one dictionary share: min over z of 1/2 |x - Phi z|^2 + lambda |z|_1, over z >= 0 or all z.

scikit-learn's `Lasso` minimises the same divided by the number of pixels M: its alpha is lambda / M. All functions keep the dtype (float32 or
float64) and device of their arguments, draw nothing, and have no gradient of use in the dictionary: differentiate a loss at the codes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

ROWS = 256
"""Images that are inferred together on the CPU."""


def check_lasso(images: Tensor, dictionary: Tensor, l1: float) -> None:
    """Check the shapes of images [B, M] and a dictionary [M, K], M and K at least 1, their dtypes, and the sign of lambda.

    Raises:
        ValueError: they do not fit, or lambda is negative or not finite.
    """
    if images.ndim != 2 or dictionary.ndim != 2 or images.shape[1] != dictionary.shape[0] or not dictionary.numel():
        raise ValueError(f"expected images [B, M] and a dictionary [M, K], got {tuple(images.shape)} and {tuple(dictionary.shape)}")
    if images.dtype != dictionary.dtype:
        raise ValueError(f"images and dictionary must have one dtype, got {images.dtype} and {dictionary.dtype}")
    check_penalty(l1)


def check_penalty(l1: float) -> None:
    """Check lambda.

    Raises:
        ValueError: it is negative or not finite.
    """
    if not 0 <= l1 < math.inf:
        raise ValueError(f"lambda must be a number of at least 0, got {l1}")


def batches(drive: Tensor) -> list[slice]:
    """Parts of a batch [B, K] that are inferred one after the other: on the CPU 256 rows, which stay in the processor's cache, elsewhere all."""
    rows = ROWS if drive.device.type == "cpu" else max(len(drive), 1)
    return [slice(start, start + rows) for start in range(0, len(drive), rows)]


def soft_threshold(u: Tensor, l1: float, non_negative: bool, out: Tensor) -> Tensor:
    """The proximal operator of l1 |z|_1: max(u - l1, 0), or sign(u) max(|u| - l1, 0) for codes of both signs.

    It is written to `out`, another tensor of the same shape, and returned; nothing is allocated, and values within the threshold give exact zeros.
    """
    if non_negative:
        return torch.sub(u, l1, out=out).clamp_(min=0)
    return torch.sub(u, torch.clamp(u, -l1, l1, out=out), out=out)


def kkt_residual(z: Tensor, correlation: Tensor, l1: Tensor | float, non_negative: bool) -> Tensor:
    """By how much codes miss the conditions for an optimum of 1/2 |x - Phi z|^2 + l1 |z|_1 [B], 0 at the optimum.

    With c = Phi' (x - Phi z) these are c_k = l1 sign z_k where z_k is not 0, and |c_k| <= l1 (c_k <= l1 for non-negative codes) where it is.

    Args:
        z: codes [B, K].
        correlation: c [B, K].
        l1: lambda.
        non_negative: whether codes must not be negative; one that is misses by its size too.

    Returns:
        The largest violation in a code [B], in units of the images. At 0 the code is an optimum: the problem is convex.
    """
    active = (correlation - l1 * z.sign()).abs()
    silent = ((correlation if non_negative else correlation.abs()) - l1).clamp(min=0)
    missed = torch.where(z == 0, silent, active)
    return (torch.maximum(missed, -z) if non_negative else missed).amax(1)
