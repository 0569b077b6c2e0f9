"""Scales of Gaussian posteriors and their divergences from N(0, 1), with their gradient: few passes over [B, K]."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from latentbench.api import exponential


def scale_and_divergence(loc: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The locations m, the scales s = e^log_scale, and KL = (m^2 + s^2 - 1) / 2 - ln s, all [B, K]; differentiable once in both arguments.

    dKL/dm = m and dKL/d ln s = s^2 - 1. The locations are returned so that all of their gradient comes back in one piece.
    """
    loc, scale, kl = _ScaleAndDivergence.apply(loc, log_scale)  # type: ignore[no-untyped-call]  # untyped in torch
    return loc, scale, kl


class _ScaleAndDivergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loc: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        scale = exponential(log_scale)
        kl = scale.square().addcmul_(loc, loc).sub_(1).mul_(0.5).sub_(log_scale)
        ctx.save_for_backward(loc, scale)
        return loc.view_as(loc), scale, kl

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_loc: Tensor | None, to_scale: Tensor | None, to_kl: Tensor | None) -> tuple[Tensor, Tensor]:
        loc, scale = ctx.saved_tensors
        to_loc = torch.zeros_like(scale) if to_loc is None else to_loc
        to_scale = torch.zeros_like(scale) if to_scale is None else to_scale
        if to_kl is None:
            return to_loc, to_scale * scale
        return torch.addcmul(to_loc, to_kl, loc), torch.addcmul(to_scale, to_kl, scale).mul_(scale).sub_(to_kl)
