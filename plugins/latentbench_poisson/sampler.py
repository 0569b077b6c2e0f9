"""Algorithm 1 of the Poisson VAE, reparameterised sampling of counts, one arrival at a time.

Arrival times of a Poisson process with rate r are S_n = (E_1 + ... + E_n) / r, with E_i standard exponential. The relaxed count is
z = sum_n s_n with s_n = sigmoid((1 - S_n) / T), over n_exp arrivals or over all. As dS_n / dr = -S_n / r,

    dz / dr = sum_n s_n (1 - s_n) S_n / (r T),

which is summed on the way forward: nothing of shape [n_exp, B, K] is ever held, and autograd keeps one [B, K] tensor.

An arrival later than 1 + c T counts for e^-c, which is rounded away, and so do all that follow it. On the CPU units that have got there are
dropped as soon as most have; where rates are small that leaves few of them after the first arrival. On other devices every unit goes through
every arrival, because a size that depends on the data would make the host wait.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Generator, Tensor

UNLIMITED = 2**31
"""An n_exp that cuts nothing off; on the CPU the loop ends when every unit is done."""
FIRST_CHUNK, CHUNK = 2**18, 2**17
"""How many units are sampled together: temporaries should stay in the processor's cache, steps in Python should be few."""
MAX_LEFT = 0.6
"""Finished units are dropped once less than this share is left."""
COUNT_EVERY = 4
"""While all units are left, the finished ones are counted at every fourth arrival."""


def relaxed_poisson(rate: Tensor, temperature: float, n_exp: int, generator: Generator) -> Tensor:
    """Relaxed counts, differentiable in the rates (Poisson VAE, Algorithm 1).

    Args:
        rate: rates, of any shape, all positive; float32 or float64.
        temperature: T > 0 of the relaxation.
        n_exp: how many arrivals are drawn; later ones are not counted. `UNLIMITED` counts all on the CPU, and never ends elsewhere.
        generator: source of the noise, on the device of `rate`.

    Returns:
        z = sum_n sigmoid((1 - S_n) / T), of the shape of `rate`.
    """
    z: Tensor = _RelaxedPoisson.apply(rate, temperature, n_exp, generator, False)[0]  # type: ignore[no-untyped-call]  # untyped in torch
    return z


def relaxed_and_hard_poisson(rate: Tensor, temperature: float, n_exp: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Relaxed counts as `relaxed_poisson` gives them, and the number of the same arrivals within the unit of time, S_n < 1."""
    z, hard = _RelaxedPoisson.apply(rate, temperature, n_exp, generator, True)  # type: ignore[no-untyped-call]  # untyped in torch
    return z, hard


def reach(temperature: float, dtype: torch.dtype) -> float:
    """The time 1 + c T after which an arrival counts for nothing: c = 1.25 ln(1 / eps), so 20 in float32 and 45 in float64."""
    return 1 - 1.25 * temperature * math.log(torch.finfo(dtype).eps)


class _RelaxedPoisson(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rate: Tensor, temperature: float, n_exp: int, generator: Generator, with_hard: bool) -> tuple[Tensor, Tensor | None]:
        flat = rate.detach().reshape(-1).contiguous()
        z, slope = torch.zeros_like(flat), torch.zeros_like(flat)
        hard = torch.zeros_like(flat) if with_hard else None
        sample = _sample_compacting if flat.device.type == "cpu" else _sample_all
        for part in _chunks(flat, temperature):
            sample(flat[part], temperature, n_exp, generator, z[part], slope[part], None if hard is None else hard[part])
        ctx.save_for_backward(slope.div_(flat).div_(temperature).view(rate.shape))
        hard = None if hard is None else hard.view(rate.shape)
        if hard is not None:
            ctx.mark_non_differentiable(hard)
        return z.view(rate.shape), hard

    @staticmethod
    def backward(ctx: Any, grad_z: Tensor, grad_hard: Tensor | None) -> tuple[Tensor, None, None, None, None]:
        (slope,) = ctx.saved_tensors
        return grad_z * slope, None, None, None, None


def _chunks(flat: Tensor, temperature: float) -> list[slice]:
    """Parts that fit the processor's cache; elsewhere everything at once."""
    if flat.device.type != "cpu":
        return [slice(None)]
    if not len(flat):
        return []
    sparse = float(flat.mean()) * reach(temperature, flat.dtype) < MAX_LEFT
    size = FIRST_CHUNK if sparse else CHUNK
    return [slice(start, start + size) for start in range(0, len(flat), size)]


def _sample_all(rate: Tensor, temperature: float, n_exp: int, generator: Generator, z: Tensor, slope: Tensor, hard: Tensor | None) -> None:
    """Add up every arrival of every unit: no step waits for the device."""
    total = torch.zeros_like(rate)
    for n in range(n_exp):
        u = torch.rand(rate.shape, generator=generator, device=rate.device, dtype=rate.dtype)
        total -= (_refined(u, generator) if n == 0 else u).neg_().log1p_()
        _count(total / rate, temperature, z, slope, hard)


def _sample_compacting(rate: Tensor, temperature: float, n_exp: int, generator: Generator, z: Tensor, slope: Tensor, hard: Tensor | None) -> None:
    """Add up arrivals of the units that still matter."""
    horizon = reach(temperature, rate.dtype)
    everyone = torch.zeros_like(rate), rate, None
    pending: list[tuple[int, Tensor, Tensor, Tensor | None]] = [(0, *everyone)]  # next arrival, E_1 + ... + E_n, rates, indices (None: all)
    while pending:
        first, total, rate, units = pending.pop()
        for n in range(first, n_exp):
            u = torch.rand(rate.shape, generator=generator, dtype=rate.dtype)
            if units is not None or n % COUNT_EVERY == 0:
                going_on = u < torch.sub(rate * horizon, total)  # as E >= u, the others' arrival is beyond the horizon
                left = int(going_on.count_nonzero())
                if left == 0:
                    break
                if left < MAX_LEFT * len(rate):
                    kept = going_on.nonzero().squeeze(1)
                    units = kept if units is None else units[kept]
                    rate, total, u = rate[kept], total[kept], u[kept]
            total -= (_refined(u, generator) if n == 0 else u).neg_().log1p_()
            _count(total / rate, temperature, z, slope, hard, units)
            if units is not None and len(units) > CHUNK:
                pending += zip(itertools.repeat(n + 1), total.split(CHUNK), rate.split(CHUNK), units.split(CHUNK))
                break


def _refined(u: Tensor, generator: Generator) -> Tensor:
    """Uniform numbers with bits below the last one of torch.rand, which small rates need: an event of rate 1e-7 is u < 1e-7."""
    step = torch.finfo(u.dtype).eps / 2
    return u.add(torch.rand(u.shape, generator=generator, device=u.device, dtype=u.dtype), alpha=step).clamp_(max=1 - step)


def _count(time: Tensor, temperature: float, z: Tensor, slope: Tensor, hard: Tensor | None, units: Tensor | None = None) -> None:
    """Add one arrival of all units, or of some: s to z, s (1 - s) S to the slope."""
    s = torch.mul(time, -1 / temperature).add_(1 / temperature).sigmoid_()
    if hard is not None:
        within = (time < 1).to(hard.dtype)
        _add(hard, within, units)
    time.mul_(s)
    _add(z, s, units)
    _add(slope, time.addcmul_(time, s, value=-1), units)


def _add(target: Tensor, values: Tensor, units: Tensor | None) -> None:
    if units is None:
        target += values
    else:
        target.index_add_(0, units, values)
