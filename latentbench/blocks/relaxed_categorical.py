"""One-hot vectors and their relaxation, the Gumbel-softmax or Concrete distribution (Jang, Gu & Poole 2017; Maddison, Mnih & Teh 2017).

With independent standard Gumbel noise g, argmax_k (ln p_k + g_k) is category k with probability p_k exactly: the Gumbel-max trick. The relaxation
replaces the argmax by softmax((ln p + g) / T), which is differentiable in ln p and tends to the one-hot of the same noise as T -> 0.

Logits have any leading shape and the categories last; float32 or float64. They need not be normalised: a constant that is added to all of them
changes neither samples nor gradients, up to rounding. Results keep shape, dtype and device. All noise comes from `generator`, which is on the
logits' device; on one device and version of torch the draws repeat bit for bit. Each call draws one uniform number a logit, in O(logits) time and
memory, and never makes the host wait.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from latentbench.blocks.logarithm import log_in_place


def relaxed_categorical(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    """softmax((logits + Gumbel noise) / T): relaxed one-hots, which sum to 1 over the last dimension, differentiable in the logits.

    Exact: the Concrete density of Maddison et al. (2017, eq. 10), its pathwise gradient, and the argmax, whose frequencies are p at every T.
    Approximate as a one-hot: the mean is p only as T -> 0 or for uniform p, so that a gradient through it is biased for a discrete model. At T -> 0
    the bias vanishes and the gradient's variance grows as 1 / T.

    Args:
        logits: [..., C], ln p up to a constant.
        temperature: T > 0.
        generator: source of the noise.

    Returns:
        Relaxed one-hots [..., C].

    Raises:
        ValueError: the temperature is not positive.
    """
    return _perturbed(logits, temperature, generator).div_(temperature).softmax(-1)


def relaxed_and_hard_categorical(logits: Tensor, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Relaxed one-hots as `relaxed_categorical` gives them, and the one-hots at their maxima, which are exact samples of the same noise.

    The one-hots have no gradient. `hard + relaxed - relaxed.detach()` is the straight-through Gumbel-softmax estimator of Jang et al. (2017).
    """
    perturbed = _perturbed(logits, temperature, generator)
    return (perturbed / temperature).softmax(-1), _one_hot(perturbed)


def sample_categorical(logits: Tensor, generator: Generator) -> Tensor:
    """One-hots [..., C] by the Gumbel-max trick: exact samples, without gradient."""
    with torch.no_grad():
        return _one_hot(gumbel_noise(logits, generator).add_(logits))


def gumbel_noise(like: Tensor, generator: Generator) -> Tensor:
    """Standard Gumbel noise -ln(-ln u) of the shape, dtype and device of `like`, always finite.

    The uniform u has the grid of torch.rand (2^-24 in float32, 2^-53 in float64), with 0 replaced by the smallest normal number, so that noise lies
    between -4.5 and 16.6 in float32, -6.6 and 36.7 in float64. A category less likely than e^-21 against the rest is therefore never drawn in
    float32, e^-43 in float64.
    """
    # torch.rand returns exact zeros, and 1 - 2^-24 is the largest float32 below 1: both logarithms stay finite.
    u = torch.rand(like.shape, generator=generator, device=like.device, dtype=like.dtype).clamp_(min=torch.finfo(like.dtype).tiny)
    return log_in_place(log_in_place(u).neg_()).neg_()


def _perturbed(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    """Logits + Gumbel noise, to be relaxed at a positive temperature."""
    if not temperature > 0:
        raise ValueError(f"a relaxation needs a positive temperature, got {temperature}")
    return gumbel_noise(logits, generator).add_(logits)


def _one_hot(scores: Tensor) -> Tensor:
    return torch.zeros_like(scores).scatter_(-1, scores.argmax(-1, keepdim=True), 1)
