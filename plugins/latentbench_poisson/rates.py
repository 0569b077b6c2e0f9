"""Rates, log residuals and divergences of Poisson posteriors from an encoder's numbers, with their gradient: few passes over [B, K].

With the encoder's x, the residual's limit a, prior rates r = e^log_r and the total log-rate's limit c, the formulas of the authors' code are

    u = ln dr = a - softplus(a - x),    rate = e^(c - softplus(c - log_r - u)) + eps,    KL = r (1 - e^u + u e^u).

A soft limit inside an exponential is a sigmoid, e^(a - softplus(a - x)) = e^a sigmoid(x - a), so one sigmoid and one logarithm do for all:

    y = e^u = e^a sigmoid(x - a),    u = ln y,    t = r y,    h = sigmoid(c - ln t) = 1 / (1 + t e^-c),    rate = t h + eps.

Their derivatives are du/dx = 1 - sigmoid(x - a), dt/du = dt/dlog_r = t, d rate/d ln t = t h^2, dKL/du = t u and dKL/dlog_r = KL.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from latentbench.api import log_in_place

LOG_RESIDUAL_LIMIT = 10.0
"""Soft upper limit a of the encoder's log dr, as in the authors' code."""
NO_RESIDUAL = -math.log1p(-math.exp(-LOG_RESIDUAL_LIMIT))
"""The x whose u is 0."""
SMALLEST_RATE = torch.finfo(torch.float32).eps
"""What is added to every rate, as in the authors' code, so that none is 0."""


def encoded_rates(features: Tensor, log_r: Tensor, log_rate_limit: float) -> tuple[Tensor, Tensor]:
    """The rates and their divergences from the prior, both [B, K], differentiable once in both arguments.

    Exact up to rounding for any finite x; where dr underflows (x below -87 in float32) it is the smallest normal number. Near u = 0 the divergence
    does not cancel, because u is the logarithm of the y that is rounded.

    Args:
        features: the encoder's numbers x [B, K].
        log_r: log-rates of the prior [K].
        log_rate_limit: the soft limit c of the log-rate that is sampled from.
    """
    rate, kl = _EncodedRates.apply(features, log_r, log_rate_limit)  # type: ignore[no-untyped-call]  # untyped in torch
    return rate, kl


class _EncodedRates(torch.autograd.Function):
    """In place wherever a tensor is not needed any more: on a CPU most of the time goes into memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_r: Tensor, c: float) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        r, one = log_r.exp(), torch.ones((), dtype=x.dtype, device=x.device)
        y = (x - LOG_RESIDUAL_LIMIT).sigmoid_()  # [B, K], like all that follow
        u_slope = 1 - y
        y.mul_(math.exp(LOG_RESIDUAL_LIMIT)).clamp_(min=torch.finfo(y.dtype).tiny)
        yu = log_in_place(y.clone()).mul_(y)
        kl = (1 - y).add_(yu).mul_(r)
        kl_slope, t = yu.mul_(r), y.mul_(r)
        h = torch.add(one, t, alpha=math.exp(-c)).reciprocal_()
        limited = t.mul_(h)
        rate = limited + SMALLEST_RATE
        ctx.save_for_backward(kl, u_slope, limited.mul_(h), kl_slope)
        return rate, kl

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_rate: Tensor | None, to_kl: Tensor | None) -> tuple[Tensor, Tensor, None]:
        kl, u_slope, rate_slope, kl_slope = ctx.saved_tensors
        to_log_t = torch.zeros_like(kl) if to_rate is None else to_rate * rate_slope
        if to_kl is None:
            return to_log_t * u_slope, to_log_t.sum(0), None
        to_u = torch.addcmul(to_log_t, to_kl, kl_slope)
        return to_u.mul_(u_slope), to_log_t.addcmul_(to_kl, kl).sum(0), None
