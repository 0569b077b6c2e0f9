"""Scales of Laplace posteriors and their divergences from Laplace(0, 1), with their gradient: few passes over [B, K]."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from latentbench.api import exponential


def scale_and_divergence(loc: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The locations m, the scales s = e^log_scale, and KL = s e + |m| - ln s - 1 with e = exp(-|m| / s), all [B, K].

    Differentiable once in both arguments: dKL/dm = sgn(m) (1 - e), and dKL/d ln s = e (s + |m|) - 1. The locations are returned so that all of their
    gradient comes back in one piece.
    """
    loc, scale, kl = _ScaleAndDivergence.apply(loc, log_scale)  # type: ignore[no-untyped-call]  # untyped in torch
    return loc, scale, kl


class _ScaleAndDivergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loc: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        scale = exponential(log_scale)
        distance = loc.abs()
        e = exponential(distance / scale, factor=-1)
        kl = (scale * e).add_(distance).sub_(log_scale).sub_(1)
        kl_by_log_scale = distance.add_(scale).mul_(e).sub_(1)
        kl_by_loc = (1 - e).mul_(loc.sign())
        ctx.save_for_backward(scale, kl_by_loc, kl_by_log_scale)
        return loc.view_as(loc), scale, kl

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_loc: Tensor | None, to_scale: Tensor | None, to_kl: Tensor | None) -> tuple[Tensor, Tensor]:
        scale, kl_by_loc, kl_by_log_scale = ctx.saved_tensors
        to_loc = torch.zeros_like(scale) if to_loc is None else to_loc
        to_log_scale = torch.zeros_like(scale) if to_scale is None else to_scale * scale
        if to_kl is None:
            return to_loc, to_log_scale
        return torch.addcmul(to_loc, to_kl, kl_by_loc), to_log_scale.addcmul_(to_kl, kl_by_log_scale)
