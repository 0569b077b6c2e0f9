"""Relaxed Poisson counts with a pathwise gradient: Algorithm 1 of the Poisson VAE (Vafaii, Galor & Yates 2024), one arrival at a time.

What follows is about its sigmoid; `indicators` has compact ramps in its place, whose arrivals end at 1 + T and which for T <= 1 leave the mean as
it is, and `relaxed_poisson_gumbel` a relaxation without arrivals. All share the interface, the hard counts and what is said of noise and devices.

Arrival times of a Poisson process with rate r are S_n = (E_1 + ... + E_n) / r, with E_i standard exponential. The relaxed count is
z = sum_n s_n with s_n = sigmoid((1 - S_n) / T), over n_exp arrivals or over all. As dS_n / dr = -S_n / r,

    dz / dr = sum_n s_n (1 - s_n) S_n / (r T),

which is summed on the way forward: nothing of shape [n_exp, B, K] is ever held, and autograd keeps one tensor, at most [B, K].

An arrival later than 1 + c T counts for e^-c, which is rounded away, and so do all that follow it. On the CPU units that have got there are
dropped as soon as most have; where rates are small that leaves few of them after the first arrival. A size that depends on the data would make the
host wait for other devices. On CUDA, float32 rates therefore go to one kernel (`relaxed_poisson_triton`), whose blocks of units end when no unit of
theirs matters; without Triton, in float64 and on further devices every unit goes through every arrival.

Exact, for any number of arrivals N (`n_exp`): the distribution of z and its pathwise gradient, and in `relaxed_and_hard_poisson` the number of the
same arrivals before time 1, which is Pois(r) cut off at N. With all arrivals

    E z = r T ln(1 + e^(1/T)),

which exceeds r by the factor 1.31 at T = 1, by 2e-4 of r at T = .15 and by less than 2e-9 at T = .05. Approximate: as counts, z differs from true
ones by the relaxation, whose bias vanishes as T -> 0 while the gradient's variance grows as 1 / T, and by the cut at N, which lowers the mean
(by 5 % at T = 1, r = 3 and the N of `arrivals_needed`; with probability 1e-5 a true count at that rate is larger than that N).

Cost: on the CPU about r (1 + 20 T) + 1 arrivals a unit in float32; in the kernel those of a block's largest; else O(N) passes over the rates. Memory:
a few tensors like the rates. The noise comes from `generator` alone: on the CPU draws do not depend on the number of threads; another device has
other draws of the same distribution. A second derivative is refused with an error, as the slope is kept as a number.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Generator, Tensor
from torch.autograd.function import once_differentiable

from latentbench.blocks.arrivals_loop import Sums, arrivals_that_matter, every_arrival
from latentbench.blocks.indicators import INDICATORS, Relaxation, reach
from latentbench.blocks.relaxed_poisson_gumbel import gumbel_softmax_counts

UNLIMITED = 2**31
"""An n_exp that cuts nothing off; on the CPU the loop ends when every unit is done."""
HAS_TRITON = find_spec("triton") is not None
"""Whether there is a compiler for the kernel; torch brings it where it brings CUDA, but not on every system."""


def relaxed_poisson(rate: Tensor, temperature: float, n_exp: int, generator: Generator, relaxation: Relaxation = "sigmoid") -> Tensor:
    """Relaxed counts, differentiable in the rates (Poisson VAE, Algorithm 1).

    Args:
        rate: rates, of any shape, all positive, which is not checked; float32 or float64.
        temperature: T > 0 of the relaxation.
        n_exp: how many arrivals are drawn, as `arrivals_needed` or an `ArrivalCap` says; later ones are not counted. `UNLIMITED` counts all, on the
            CPU.
            For `gumbel_softmax` it is the number U >= 2 of counts, from 0 on, that have a weight.
        generator: source of the noise, on the device of `rate`.
        relaxation: the soft indicator of arrivals, or `gumbel_softmax`.

    Returns:
        z = sum_n sigmoid((1 - S_n) / T), or that of another relaxation, of the shape and dtype of `rate`; z >= 0.

    Raises:
        ValueError: the temperature is not positive, rates are not float32 or float64, arrivals are unlimited elsewhere than on the CPU, or
            `gumbel_softmax` has fewer than two counts or unlimited ones.
    """
    _check(rate, temperature, n_exp, relaxation)
    return _sample(rate, temperature, n_exp, generator, relaxation, False)[0]


def relaxed_and_hard_poisson(
    rate: Tensor, temperature: float, n_exp: int, generator: Generator, relaxation: Relaxation = "sigmoid"
) -> tuple[Tensor, Tensor]:
    """Relaxed counts as `relaxed_poisson` gives them, and the number of the same arrivals within the unit of time, S_n < 1, without gradient.

    That number is min(count, n_exp) for a count that is exactly Pois(rate); of `gumbel_softmax` it is Pois(rate) given that it is below U.
    `hard + relaxed - relaxed.detach()` has its value, and the gradient of the relaxation.
    """
    _check(rate, temperature, n_exp, relaxation)
    z, hard = _sample(rate, temperature, n_exp, generator, relaxation, True)
    assert hard is not None, "they were asked for"
    return z, hard


def uses_kernel(rate: Tensor) -> bool:
    """Whether these rates go to the kernel: float32 on CUDA, with Triton."""
    return HAS_TRITON and rate.device.type == "cuda" and rate.dtype is torch.float32


def _check(rate: Tensor, temperature: float, n_exp: int, relaxation: Relaxation) -> None:
    if not temperature > 0:
        raise ValueError(f"a relaxation needs a positive temperature, got {temperature}")
    if rate.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"rates must be float32 or float64, got {rate.dtype}")
    if relaxation == "gumbel_softmax" and not 2 <= n_exp < UNLIMITED:
        raise ValueError(f"gumbel_softmax needs at least 2 counts, and a finite number of them, got {n_exp}")
    if n_exp >= UNLIMITED and rate.device.type != "cpu":
        raise ValueError(f"n_exp must be finite on {rate.device}: only on the CPU does the sampler stop once no arrival matters any more")


def _sample(
    rate: Tensor, temperature: float, n_exp: int, generator: Generator, relaxation: Relaxation, with_hard: bool
) -> tuple[Tensor, Tensor | None]:
    """Relaxed counts and, if they are asked for, hard counts."""
    if relaxation in INDICATORS and uses_kernel(rate):
        from latentbench.blocks import relaxed_poisson_triton as kernel  # here, as Triton takes a while to import

        horizon = reach(temperature, rate.dtype, relaxation)
        z, _, hard = kernel.sample(rate, kernel.draw_seed(generator, rate.device), temperature, horizon, n_exp, with_hard, relaxation)
        return z, hard
    z, hard = _RelaxedPoisson.apply(rate, temperature, n_exp, generator, relaxation, with_hard)  # type: ignore[no-untyped-call]  # untyped in torch
    return z, hard


def _sums(rate: Tensor, temperature: float, n_exp: int, generator: Generator, relaxation: Relaxation, with_hard: bool) -> Sums:
    """Counts and slopes of flat rates, by arrivals or by weights of counts."""
    if relaxation == "gumbel_softmax":
        return gumbel_softmax_counts(rate, temperature, n_exp, generator, with_hard)
    sample = arrivals_that_matter if rate.device.type == "cpu" else every_arrival
    return sample(rate, INDICATORS[relaxation], temperature, n_exp, generator, with_hard)


class _RelaxedPoisson(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rate: Tensor, temperature: float, n_exp: int, generator: Generator, relaxation: Relaxation, with_hard: bool
    ) -> tuple[Tensor, Tensor | None]:
        flat = rate.detach().reshape(-1).contiguous()
        z, slope, hard, units = _sums(flat, temperature, n_exp, generator, relaxation, with_hard)
        ctx.save_for_backward(slope, units)
        hard = None if hard is None else _spread(hard, units, rate)
        if hard is not None:
            ctx.mark_non_differentiable(hard)
        return _spread(z, units, rate), hard

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_z: Tensor, grad_hard: Tensor | None) -> tuple[Tensor, None, None, None, None, None]:
        slope, units = ctx.saved_tensors
        flat = grad_z.reshape(-1)
        return _spread(slope * (flat if units is None else flat[units]), units, grad_z), None, None, None, None, None


def _spread(values: Tensor, units: Tensor | None, like: Tensor) -> Tensor:
    """The values of `units`, or of all, in the shape of `like`; the others' are 0."""
    if units is None:
        return values.view(like.shape)
    return values.new_zeros(like.numel()).index_copy_(0, units, values).view(like.shape)
