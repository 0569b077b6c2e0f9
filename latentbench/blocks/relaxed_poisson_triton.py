"""The sampler of `relaxed_poisson` as one kernel of a GPU, in Triton: counts, their slopes and the hard counts in one pass over the rates.

A program has `BLOCK` units in its registers and goes through their arrivals until none of them matters any more, which is when E_1 + ... + E_n
exceeds the rate times the horizon 1 + c T of every unit; that is decided by groups of four arrivals. Nothing is read but the rates, nothing written
but the results, and the host waits for nothing.

Noise: Philox 4x32-10 (Salmon et al. 2011). Its key is a seed that lies in memory of the device; its counter is the number of the unit (64 bits) and
that of the group of arrivals, so no two draws share a counter, and draws depend neither on the block's size nor on the order of execution. A call
draws its seed from the run's generator, on the device: the generator's state, which a training saves, decides all numbers, and a kernel that is
replayed by a CUDA graph draws anew once its seed was.

A uniform number u is w 2^-32 of a 32-bit word w; the first arrival's has a second word below the last bit of the first, as an event of rate 1e-7
is u < 1e-7. E = -ln(1 - u) keeps the bits at both ends: it comes from its series where u is small, and else from 1 - u as the complement of w.

Every soft indicator of `indicators` has its own compiled kernel. Only float32. Not run on a GPU yet: its tests go through Triton's interpreter, on
the CPU.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Generator, Tensor

BLOCK = 256
"""Units of a program, two a thread: few, because a program runs until its last unit is done."""
MAX_ARRIVALS = 2**31 - 8
"""The largest n_exp that the kernel's 32-bit counter of arrivals holds."""


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]  # Triton is not installed everywhere
def _exponential(word, low):  # type: ignore[no-untyped-def]  # Triton's language has no types
    """Standard exponential numbers -ln(1 - u) from 64 bits each: u = word 2^-32 + low 2^-64. The second word matters where u is small."""
    u = word.to(tl.float32) * 2.3283064365386963e-10 + low.to(tl.float32) * 5.421010862427522e-20
    series = u * (1.0 + u * (0.5 + u * (0.33333333 + u * (0.25 + u * 0.2))))  # what is left out is u^5 / 6 of it
    rest = ((0xFFFFFFFF - word).to(tl.float32) + 1.0) * 2.3283064365386963e-10  # 1 - u, at least 2^-32, without a difference that would lose bits
    return tl.where(u < 0.03, series, -tl.log(rest))


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _weigh(time, temperature, RELAXATION: tl.constexpr):  # type: ignore[no-untyped-def]
    """What arrivals count: g, and dg / dx at x = (1 - S) / T."""
    if RELAXATION == "sigmoid":
        g = 1.0 / (1.0 + tl.exp((time - 1.0) / temperature))
        slope = g * (1.0 - g)
    else:
        u = tl.minimum(tl.maximum((1.0 + temperature - time) / (2.0 * temperature), 0.0), 1.0)
        if RELAXATION == "linear":
            g = u
            slope = tl.where((u > 0.0) & (u < 1.0), 0.5, 0.0)
        elif RELAXATION == "cubic":
            g = u * u * (3.0 - 2.0 * u)
            slope = 3.0 * u * (1.0 - u)
        elif RELAXATION == "quintic":
            g = u * u * u * (10.0 + u * (6.0 * u - 15.0))
            slope = 15.0 * u * (1.0 - u) * u * (1.0 - u)
        else:
            sine = tl.sin(1.5707963267948966 * u)
            g = sine * sine
            slope = tl.where(u < 1.0, 1.5707963267948966 * sine * tl.cos(1.5707963267948966 * u), 0.0)
    return g, slope


@triton.jit  # type: ignore[untyped-decorator,unused-ignore]
def _arrival(n, n_exp, exponential, rate, limit, temperature, total, z, slope, hard, RELAXATION: tl.constexpr):  # type: ignore[no-untyped-def]
    """Count arrival `n` of all units: g to z, S dg / dx to the slope, 1 to the hard count if S < 1; nothing from n_exp or the horizon on."""
    total += exponential
    counts = (n < n_exp) & (total < limit)
    time = total / rate
    g, steep = _weigh(time, temperature, RELAXATION)
    return total, z + tl.where(counts, g, 0.0), slope + tl.where(counts, steep * time, 0.0), hard + tl.where(counts & (total < rate), 1.0, 0.0)


@triton.jit(do_not_specialize=["n_exp"])  # type: ignore[untyped-decorator,unused-ignore]
def _kernel(  # type: ignore[no-untyped-def]
    rate_ptr,
    seed_ptr,
    z_ptr,
    slope_ptr,
    hard_ptr,
    units,
    temperature,
    horizon,
    n_exp,
    WITH_HARD: tl.constexpr,
    RELAXATION: tl.constexpr,
    BLOCK: tl.constexpr,
):
    unit = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = unit < units
    rate = tl.load(rate_ptr + unit, mask=inside, other=1.0)
    seed = tl.load(seed_ptr)
    limit = tl.where(inside, rate * horizon, 0.0)  # a sum of exponentials beyond it is an arrival that counts for nothing
    low, high = (unit & 0xFFFFFFFF).to(tl.uint32), (unit >> 32).to(tl.uint32)
    zero = low * 0
    total = tl.zeros([BLOCK], tl.float32)
    z, slope, hard = total, total, total

    word, more, _, _ = tl.philox(seed, low, high, zero, zero)
    total, z, slope, hard = _arrival(0, n_exp, _exponential(word, more), rate, limit, temperature, total, z, slope, hard, RELAXATION)
    n = 1
    while (n < n_exp) & (tl.max((total < limit).to(tl.int32), 0) > 0):
        group = zero + n // 4 + 1
        a, b, c, d = tl.philox(seed, low, high, group, zero)
        total, z, slope, hard = _arrival(n, n_exp, _exponential(a, zero), rate, limit, temperature, total, z, slope, hard, RELAXATION)
        total, z, slope, hard = _arrival(n + 1, n_exp, _exponential(b, zero), rate, limit, temperature, total, z, slope, hard, RELAXATION)
        total, z, slope, hard = _arrival(n + 2, n_exp, _exponential(c, zero), rate, limit, temperature, total, z, slope, hard, RELAXATION)
        total, z, slope, hard = _arrival(n + 3, n_exp, _exponential(d, zero), rate, limit, temperature, total, z, slope, hard, RELAXATION)
        n += 4

    tl.store(z_ptr + unit, z, mask=inside)
    tl.store(slope_ptr + unit, slope / (rate * temperature), mask=inside)
    if WITH_HARD:
        tl.store(hard_ptr + unit, hard, mask=inside)


@torch.library.custom_op("latentbench::relaxed_poisson", mutates_args=())
def sample(
    rate: Tensor, seed: Tensor, temperature: float, horizon: float, n_exp: int, with_hard: bool, relaxation: str = "sigmoid"
) -> tuple[Tensor, Tensor, Tensor]:
    """Relaxed counts z, their slopes dz / d rate, and hard counts (of size 0 if they are not asked for), of the shape of `rate`.

    Args:
        rate: float32, of any shape.
        seed: int64 [1], on the device of `rate`; all noise is a function of it.
        temperature: T of the relaxation.
        horizon: the time from which on arrivals count for nothing.
        n_exp: arrivals that are counted at most.
        with_hard: whether hard counts are asked for.
        relaxation: the soft indicator of arrivals, a name of `INDICATORS`; each is compiled once.
    """
    rate = rate.contiguous()
    z, slope, hard = torch.empty_like(rate), torch.empty_like(rate), _hard(rate, with_hard)
    units = rate.numel()
    if units:
        here = torch.cuda.device(rate.device) if rate.is_cuda else nullcontext()
        with here:
            grid = (triton.cdiv(units, BLOCK),)
            limits = (units, temperature, horizon, min(n_exp, MAX_ARRIVALS))
            _kernel[grid](rate, seed, z, slope, hard, *limits, WITH_HARD=with_hard, RELAXATION=relaxation, BLOCK=BLOCK)
    return z, slope, hard


@sample.register_fake
def _(
    rate: Tensor, seed: Tensor, temperature: float, horizon: float, n_exp: int, with_hard: bool, relaxation: str = "sigmoid"
) -> tuple[Tensor, Tensor, Tensor]:
    like = torch.empty_like(rate, memory_format=torch.contiguous_format)
    return like, torch.empty_like(like), _hard(like, with_hard)


def _hard(rate: Tensor, with_hard: bool) -> Tensor:
    return torch.empty_like(rate) if with_hard else rate.new_empty(0)


def _keep_slope(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[2])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[1])


def _backward(
    ctx: Any, grad_z: Tensor | None, grad_slope: Tensor | None, grad_hard: None
) -> tuple[Tensor | None, None, None, None, None, None, None]:
    if grad_slope is not None:
        raise RuntimeError("relaxed counts have no second derivative: their slope is kept as a number (once_differentiable)")
    (slope,) = ctx.saved_tensors
    return None if grad_z is None else grad_z * slope, None, None, None, None, None, None


sample.register_autograd(_backward, setup_context=_keep_slope)


def draw_seed(generator: Generator, device: torch.device) -> Tensor:
    """A seed [1] of a call's noise: 63 bits from the generator, in memory of the device."""
    return torch.randint(2**63 - 1, (1,), generator=generator, device=device)
