"""Soft limits: smooth, increasing bounds for log-rates and log-scales, which leave small values about as they are.

They act element by element, keep shape, dtype and device, and draw nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus


def softly_below(limit: float, x: Tensor) -> Tensor:
    """limit - softplus(limit - x): smooth, below `limit`, and slightly below x everywhere (by .0067 at limit - x = 5).

    The derivative is sigmoid(limit - x): 1 far below the limit, 1/2 at it, e^(limit - x) far above. Beyond limit - x = 20 the result is x up to the
    rounding of `limit - (limit - x)`, as torch's softplus is linear there; the true difference is below 3e-9.

    Args:
        limit: the upper limit c.
        x: any shape.

    Returns:
        A tensor like `x`.
    """
    return limit - softplus(limit - x)


def softly_within(limit: float, x: Tensor) -> Tensor:
    """c tanh(x / c) with c = `limit`: between -c and c, about x near 0 (x - x^3 / 3 c^2), with derivative 1 - tanh(x / c)^2.

    Rounding makes it equal c from |x| = 9.1 c on in float32, 19.1 c in float64, where its gradient is exactly 0.

    Args:
        limit: the limit c > 0 of the absolute value.
        x: any shape.

    Returns:
        A tensor like `x`.
    """
    return limit * torch.tanh(x / limit)
