"""Log-probabilities of one-hot vectors and their divergence from the uniform distribution, with their gradient: few passes over the logits."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from latentbench.api import exponential


def log_probabilities_and_divergence(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The log-probabilities ln p [B, G, C] of logits, and KL = sum_k p_k ln p_k + ln C of each group [B, G]; differentiable once.

    With v the gradient that comes back to ln p, that of the logits is v - p sum(v), and dKL/dlogit_k = p_k (ln p_k - sum_j p_j ln p_j).
    """
    log_p, kl = _LogProbabilities.apply(logits)  # type: ignore[no-untyped-call]  # untyped in torch
    return log_p, kl


class _LogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        log_p = logits.log_softmax(-1)
        p = exponential(log_p)
        negative_entropy = (p * log_p).sum(-1)
        ctx.save_for_backward(log_p, p, negative_entropy)
        return log_p, negative_entropy + math.log(logits.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_log_p: Tensor | None, to_kl: Tensor | None) -> Tensor:
        log_p, p, negative_entropy = ctx.saved_tensors
        towards = torch.zeros_like(p) if to_kl is None else (log_p - negative_entropy[..., None]).mul_(to_kl[..., None])
        if to_log_p is None:
            return towards.mul_(p)
        return towards.sub_(to_log_p.sum(-1, keepdim=True)).mul_(p).add_(to_log_p)
