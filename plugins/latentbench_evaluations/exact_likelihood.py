"""ln p(x) exactly: in closed form for a linear decoder with Gaussian latents and noise, and by summation over the values of discrete latents."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from latentbench.api import Trained, dictionary_of
from latentbench_evaluations.bounds import CHUNK, prior_of


@dataclass(frozen=True)
class Exact:
    """ln p(x) in nats [B], from below, and how much each may be too small [B]: 0 but where a sum was truncated."""

    log_likelihood: Tensor
    error: Tensor


def linear_gaussian(trained: Trained, images: Tensor) -> Exact | None:
    """ln N(x; b + Phi m, Phi diag(v) Phi' + diag(sigma^2)) of images [B, *data_shape], for a prior N(m, v); None for another model."""
    prior, variance = prior_of(trained, 1), trained.model.likelihood.noise_variance()
    if not (prior.is_normal and trained.assembly.linear_decoder) or variance is None:
        return None
    with torch.no_grad():
        dictionary, bias = (part.double() for part in dictionary_of(trained.model.decoder))
        mean, spread = prior.mean[0].double(), prior.variance[0].double()
        noise = variance.double().to(dictionary.device).expand(trained.assembly.data_shape).flatten()
        covariance = (dictionary * spread) @ dictionary.T + torch.diag(noise)
        log_p = MultivariateNormal(bias + dictionary @ mean, covariance).log_prob(images.double().flatten(1)).cpu()
    return Exact(log_p, torch.zeros_like(log_p))


def enumerated(trained: Trained, images: Tensor, lower: Tensor, tolerance: float, most: int) -> Exact | None:
    """ln sum_z p(z) p(x | z) over the values of discrete latents; None where they are not discrete, or more than `most` codes are needed.

    Infinitely many values are cut off in each latent where its prior leaves `tail`. What G latents leave out has the probability G tail at most and
    p(x | z) <= L, so ln p(x) is too small by at most ln(1 + G tail L / p), p the sum. The tail is such that no image exceeds the tolerance.

    Args:
        trained: the model.
        images: items [B, *data_shape] on the model's device.
        lower: lower bounds of ln p(x) [B], which decide the tail.
        tolerance: the largest error in nats.
        most: the largest number of codes to sum over.
    """
    prior = prior_of(trained, 1)
    tail, values = 0.0, prior.values(0.0)
    highest = trained.model.likelihood.max_log_prob()
    latents = prior.log_prob(prior.mean).shape[-1]
    if values is None and highest is not None:
        tail = math.exp(max(-700.0, float(lower.min()) - float(highest))) * math.expm1(tolerance) / latents
        values = prior.values(tail)
    if values is None or latents * math.log(len(values)) > math.log(most) + 1e-9:
        return None
    log_p = _summed(trained, images, _products(values, latents))
    ceiling = 0.0 if highest is None else float(highest)
    error = torch.log1p(latents * tail * (ceiling - log_p).exp()) if tail else torch.zeros_like(log_p)
    return Exact(log_p, error) if error.max() <= tolerance * (1 + 1e-6) else None


def _products(values: Tensor, latents: int) -> Tensor:
    """Every code [V^G, K] of G latents that take the values [V, K / G]."""
    each = torch.arange(len(values), device=values.device)
    places = torch.cartesian_prod(*[each] * latents).reshape(-1, latents)
    codes: Tensor = values[places].flatten(1)
    return codes


def _summed(trained: Trained, images: Tensor, codes: Tensor) -> Tensor:
    """ln sum_z p(z) p(x | z) over codes [C, K], in chunks of them, in float64 on the CPU [B]."""
    model, total = trained.model, torch.full((len(images),), -math.inf, dtype=torch.float64, device=images.device)
    chunk = max(1, CHUNK // images.numel())
    with torch.no_grad():
        for some in codes.split(chunk):
            log_prior = prior_of(trained, 1).log_prob(some[:, None]).double().sum(-1)  # [C, 1]
            decoded = model.decoder(some)
            every = decoded.repeat_interleave(len(images), 0)
            log_likelihood = model.likelihood.log_prob(images.repeat(len(some), *[1] * (images.ndim - 1)), every).double()
            total = torch.logaddexp(total, (log_prior + log_likelihood.reshape(len(some), -1)).logsumexp(0))
    return total.cpu()
