"""The arrivals of Poisson processes, added up one by one until none matters: the loops of `relaxed_poisson`, for every soft indicator.

Both loops return relaxed counts z, their slopes dz / d(rate) and, if asked for, the numbers of arrivals before time 1 of the units that they went
through; those of other units are 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from latentbench.blocks.indicators import Indicator

CHUNK = 2**17
"""How many units are sampled together: temporaries should stay in the processor's cache, steps in Python should be few."""
MAX_LEFT = 0.6
"""Finished units are dropped once less than this share is left."""
COUNT_EVERY = 4
"""While all units are left, the finished ones are counted at every fourth arrival."""


class Sums(NamedTuple):
    """What is added up over arrivals, of `units` (indices), or of all where that is None."""

    z: Tensor
    slope: Tensor
    hard: Tensor | None
    units: Tensor | None


def every_arrival(rate: Tensor, soft: Indicator, temperature: float, n_exp: int, generator: Generator, with_hard: bool) -> Sums:
    """All units go through all arrivals, so that no step waits for the device. Rates [N]."""
    sums, total = _zeros(rate, with_hard, None), torch.zeros_like(rate)
    for n in range(n_exp):
        u = torch.rand(rate.shape, generator=generator, device=rate.device, dtype=rate.dtype)
        total -= (_refined(u, generator) if n == 0 else u).neg_().log1p_()
        _count(total / rate, soft, temperature, sums)
    sums.slope.div_(rate)
    return sums


def arrivals_that_matter(rate: Tensor, soft: Indicator, temperature: float, n_exp: int, generator: Generator, with_hard: bool) -> Sums:
    """Units are dropped when their next arrival is beyond the horizon; on the CPU, where sizes may depend on the data. Rates [N]."""
    horizon = soft.reach(temperature, rate.dtype)
    total, rate, units = _first_arrival(rate, horizon, generator)
    sums = _zeros(rate, with_hard, units)
    for start in range(0, len(rate), CHUNK):
        part = slice(start, start + CHUNK)
        of_part = Sums(sums.z[part], sums.slope[part], None if sums.hard is None else sums.hard[part], None)
        _add_arrivals(rate[part], total[part], soft, temperature, n_exp, generator, of_part)
    sums.slope.div_(rate)
    return sums


def _first_arrival(rate: Tensor, horizon: float, generator: Generator) -> tuple[Tensor, Tensor, Tensor | None]:
    """E_1, rates and indices (None: all) of the units whose first arrival may be within the horizon.

    E_1 = -ln(1 - u) is at least u, whose first 8 bits tell most of those without one; only the others get the bits below.
    """
    words = torch.empty(-(-len(rate) // 8), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    byte = words.view(torch.uint8)[: len(rate)]
    near = _less(byte.to(rate.dtype).mul_(2**-8 / horizon), rate)
    units = None
    if np.count_nonzero(near) < MAX_LEFT * len(rate):
        units = torch.from_numpy(np.flatnonzero(near))
        rate, byte = rate[units], byte[units]
    below = _refined(torch.rand(rate.shape, generator=generator, dtype=rate.dtype), generator)
    u = below.add_(byte).mul_(2**-8).clamp_(max=1 - torch.finfo(rate.dtype).eps / 2)
    return u.neg_().log1p_().neg_(), rate, units


def _add_arrivals(rate: Tensor, total: Tensor, soft: Indicator, temperature: float, n_exp: int, generator: Generator, sums: Sums) -> None:
    """Count the first arrival, whose E_1 is `total`, and the later ones of units that still matter."""
    horizon = soft.reach(temperature, rate.dtype)
    _count(total / rate, soft, temperature, sums)
    for n in range(1, n_exp):
        u = torch.rand(rate.shape, generator=generator, dtype=rate.dtype)
        if sums.units is not None or n % COUNT_EVERY == 0 or n == 1:
            going_on = _less(u, torch.sub(rate * horizon, total))  # as E >= u, the others' arrival is beyond the horizon
            left = int(np.count_nonzero(going_on))
            if left == 0:
                return
            if left < MAX_LEFT * len(rate):
                kept = torch.from_numpy(np.flatnonzero(going_on))
                sums = sums._replace(units=kept if sums.units is None else sums.units[kept])
                rate, total, u = rate[kept], total[kept], u[kept]
        total -= u.neg_().log1p_()
        _count(total / rate, soft, temperature, sums)


def _less(one: Tensor, other: Tensor) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """one < other, for tensors on the CPU: NumPy compares, counts and finds truth values five times faster than torch."""
    less: np.ndarray[Any, np.dtype[np.bool_]] = np.less(one.numpy(), other.numpy())
    return less


def _refined(u: Tensor, generator: Generator) -> Tensor:
    """Uniform numbers with bits below the last one of torch.rand, which small rates need: an event of rate 1e-7 is u < 1e-7."""
    step = torch.finfo(u.dtype).eps / 2
    return u.add(torch.rand(u.shape, generator=generator, device=u.device, dtype=u.dtype), alpha=step).clamp_(max=1 - step)


def _zeros(rate: Tensor, with_hard: bool, units: Tensor | None) -> Sums:
    return Sums(torch.zeros_like(rate), torch.zeros_like(rate), torch.zeros_like(rate) if with_hard else None, units)


def _count(time: Tensor, soft: Indicator, temperature: float, sums: Sums) -> None:
    """Add one arrival at these times, which are overwritten: g to z, -S dg / dS to the slope."""
    if sums.hard is not None:
        _add(sums.hard, (time < 1).to(time.dtype), sums.units)
    g, slope, scale = soft.weigh(time, temperature)
    _add(sums.z, g, sums.units)
    _add(sums.slope, slope, sums.units, scale)


def _add(target: Tensor, values: Tensor, units: Tensor | None, alpha: float = 1) -> None:
    if units is None:
        target.add_(values, alpha=alpha)
    else:
        target.index_add_(0, units, values, alpha=alpha)
