"""The exponential of large tensors that need no gradient: what a function with its own derivative computes."""

from __future__ import annotations

import math

from torch import Tensor

LOG2_E = math.log2(math.e)


def exponential(x: Tensor, factor: float = 1.0) -> Tensor:
    """e^(factor x), a new tensor.

    It is 2^(factor x log2 e), which torch computes on a CPU in half the time of its exponential. The product is rounded, so that the relative error
    grows with |factor x|, as eps (1 + |factor x|) with eps the rounding of the dtype (1.2e-7 in float32).

    Args:
        x: numbers of any shape, without gradient.
        factor: what they are multiplied by, in the same pass.
    """
    return (x * (factor * LOG2_E)).exp2_()
