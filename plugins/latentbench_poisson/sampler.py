"""Algorithm 1 of the Poisson VAE, reparameterised sampling of counts, one arrival at a time.

Arrival times of a Poisson process with rate lambda are S_n = (E_1 + ... + E_n) / lambda, with E_i standard exponential. The relaxed count is
z = sum_n sigmoid((1 - S_n) / T) over n_exp arrivals. As dS_n / d ln(lambda) = -S_n,

    dz / d ln(lambda) = sum_n s_n (1 - s_n) S_n / T,    s_n = sigmoid((1 - S_n) / T),

which is summed on the way forward: nothing of shape [n_exp, B, K] is ever held, and autograd keeps one [B, K] tensor.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor


def relaxed_poisson(rate: Tensor, temperature: float, n_exp: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Relaxed and true counts of the same arrivals, the first differentiable in the rates.

    Args:
        rate: rates, of any shape, all positive.
        temperature: T > 0 of the relaxation.
        n_exp: how many arrivals are drawn; later ones are not counted.
        generator: source of the noise, on the device of `rate`.

    Returns:
        z = sum_n sigmoid((1 - S_n) / T), and the number of arrivals S_n < 1, both of the shape of `rate`.
    """
    relaxed, hard = _RelaxedPoisson.apply(rate, temperature, n_exp, generator)
    return relaxed, hard


class _RelaxedPoisson(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rate: Tensor, temperature: float, n_exp: int, generator: Generator) -> tuple[Tensor, Tensor]:
        z, slope, hard, time = (torch.zeros_like(rate) for _ in range(4))
        for _ in range(n_exp):
            u = torch.rand(rate.shape, generator=generator, device=rate.device, dtype=rate.dtype)
            time.addcdiv_(u.neg_().log1p_(), rate, value=-1)  # E = -ln(1 - u) is finite: torch.rand may return 0, never 1
            s = ((1 - time) / temperature).sigmoid_()
            z += s
            slope += s * (1 - s) * time
            hard += time < 1
        ctx.save_for_backward(slope.div_(rate * temperature))  # dz / d(rate)
        ctx.mark_non_differentiable(hard)
        return z, hard

    @staticmethod
    def backward(ctx: Any, grad_z: Tensor, grad_hard: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return grad_z * slope, None, None, None
