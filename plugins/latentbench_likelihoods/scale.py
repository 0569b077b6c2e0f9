"""A soft limit that keeps learned scales away from 0 and infinity."""

from torch import Tensor

from latentbench.api import softly_within

LOG_LIMIT = 3.45
"""Scales stay between e^-3.45 and e^3.45, as in the iterative VAEs (Vafaii et al. 2025)."""


def limited(raw: Tensor) -> Tensor:
    """c tanh(raw / c) with c = 3.45: about raw near 0."""
    return softly_within(LOG_LIMIT, raw)
