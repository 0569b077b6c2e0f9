"""Importance-weighted bounds of ln p(x): weights of samples of the posterior, in chunks, and what they estimate (Burda et al. 2016)."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from latentbench.api import Posterior, Trained

CHUNK = 2**22
"""Numbers that are decoded at once: samples x images x the larger of pixels and latent dimensions."""


def log_weights(trained: Trained, images: Tensor, q: Posterior, samples: int, generator: Generator) -> Tensor:
    """ln w = ln p(x | z) + ln p(z) - ln q(z | x) of `samples` true samples z of q for each image [S, B], in float64 on the CPU, in nats.

    Args:
        trained: the model whose decoder, likelihood and prior are taken.
        images: items [B, *data_shape] on the model's device.
        q: the distribution that z is drawn from, one for each image.
        samples: S.
        generator: the noise, on the model's device.
    """
    largest = max(images[0].numel(), trained.assembly.latent_dim)
    chunk = max(1, CHUNK // (len(images) * largest))
    with torch.no_grad():
        sizes = [min(chunk, samples - start) for start in range(0, samples, chunk)]
        return torch.cat([_chunk(trained, images, q, size, generator) for size in sizes])


def _chunk(trained: Trained, images: Tensor, q: Posterior, samples: int, generator: Generator) -> Tensor:
    z = torch.stack([q.sample(generator) for _ in range(samples)])  # [S, B, K]
    p = prior_of(trained, len(images))
    ratio = p.log_prob(z).double().sum(-1) - q.log_prob(z).double().sum(-1)
    return (log_likelihoods(trained, images, z) + ratio).cpu()


def log_likelihoods(trained: Trained, images: Tensor, z: Tensor) -> Tensor:
    """ln p(x | z) of images [B, *data_shape] at codes [S, B, K], in float64 [S, B]."""
    repeated = images.expand(len(z), *images.shape).flatten(0, 1)
    model = trained.model
    return model.likelihood.log_prob(repeated, model.decoder(z.flatten(0, 1))).double().reshape(z.shape[:2])


def prior_of(trained: Trained, batch: int) -> Posterior:
    """p(z), repeated; a family with a posterior has one."""
    prior = trained.model.family.prior(batch)
    assert prior is not None, "the plan leaves this evaluation out where there is no posterior"
    return prior


def in_blocks(log_w: Tensor, size: int) -> Tensor:
    """The weights [S, B] as whole blocks of `size` [blocks, size, B]."""
    blocks = len(log_w) // size
    return log_w[: blocks * size].reshape(blocks, size, -1)


def bound(log_w: Tensor, size: int) -> Tensor:
    """E ln (1/S sum_s w_s) with S = `size`, from blocks of independent weights [B]: at most ln p(x), and the more so the larger S."""
    return (in_blocks(log_w, size).logsumexp(1) - math.log(size)).mean(0)


def effective_sample_size(log_w: Tensor, size: int) -> Tensor:
    """(sum w)^2 / sum w^2 of `size` weights, a mean over blocks [B] (Kong 1992): from 1 to `size`."""
    blocks = in_blocks(log_w, size)
    return (2 * blocks.logsumexp(1) - (2 * blocks).logsumexp(1)).exp().mean(0)


def noise_variance(log_w: Tensor, size: int) -> Tensor:
    """The variance [B] of `bound` over draws, the images fixed: that of independent blocks, or 1 / ESS - 1 / S (delta method) from one block."""
    blocks = in_blocks(log_w, size)
    if len(blocks) > 1:
        return blocks.logsumexp(1).var(0) / len(blocks)
    return (1 / effective_sample_size(log_w, size) - 1 / size).clamp(min=0)
