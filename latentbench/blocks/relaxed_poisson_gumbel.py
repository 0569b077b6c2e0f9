"""Relaxed Poisson counts by a Gumbel-softmax over the counts 0, 1, ..., U - 1 (GSM in "A hitchhiker's guide", arXiv 2602.03896).

With logits l_k = k ln r - ln k! and standard Gumbel noise g_k, independent,

    p = softmax((l + g) / T),    z = sum_k k p_k,    dz / dr = (sum_k k^2 p_k - z^2) / (r T),

as dl_k / d ln r = k: the slope is the variance of the count under p. The argmax of l + g is Pois(r) given that it is below U, exactly, at every T.
Relaxed counts have its mean and variance up to T^2, but for the variance that relaxation takes: T of it, for every rate. At T = 1 and small rates the
mean is twice too large, as all U counts keep some weight.

Cost: O(N U), of which `CHUNK` elements are held at a time.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from latentbench.blocks.arrivals_loop import Sums
from latentbench.blocks.relaxed_categorical import gumbel_noise

CHUNK = 2**18
"""Weights of counts that are held at a time."""


def gumbel_softmax_counts(rate: Tensor, temperature: float, counts: int, generator: Generator, with_hard: bool) -> Sums:
    """Relaxed counts z, their slopes dz / d(rate), and the counts of the same noise. Rates [N]; `counts` is U, at least 2."""
    k = torch.arange(counts, dtype=rate.dtype, device=rate.device)  # [U]
    size = max(1, CHUNK // counts)
    parts = [_some(part, k, temperature, generator) for part in rate.split(size)]
    z, slope, hard = (torch.cat(found) for found in zip(*parts, strict=True)) if parts else (rate, rate, rate)
    return Sums(z, slope, hard if with_hard else None, None)


def _some(rate: Tensor, k: Tensor, temperature: float, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Those of a chunk of units."""
    scores = torch.outer(rate.log(), k).sub_(torch.lgamma(k + 1))  # [n, U]
    scores += gumbel_noise(scores, generator)
    hard = scores.argmax(1).to(rate.dtype)
    p = scores.div_(temperature).softmax(1)
    z = p @ k
    return z, p.mul_((k - z[:, None]).square_()).sum(1) / (rate * temperature), hard
