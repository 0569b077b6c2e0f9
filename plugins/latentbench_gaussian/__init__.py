"""Gaussian latents with a standard normal prior (Kingma & Welling 2014)."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from latentbench import hookimpl
from latentbench.api import Family, LearnedPriorOptions, LocationScaleFamily, Posterior
from latentbench_gaussian.divergence import scale_and_divergence


class GaussianPosterior(Posterior):
    """N(loc, exp(log_scale)^2) in each of K dimensions; `loc` and `log_scale` [B, K], those of a learned prior [K] or [B, K]."""

    is_normal = True

    def __init__(self, loc: Tensor, log_scale: Tensor, prior: tuple[Tensor, Tensor] | None = None) -> None:
        self.log_scale = log_scale
        self.loc, self.scale, self.divergence = scale_and_divergence(loc, log_scale)
        if prior is not None:  # the divergence is the same after both distributions were shifted and scaled
            self.divergence = scale_and_divergence((loc - prior[0]) * (-prior[1]).exp(), log_scale - prior[1])[2]

    @property
    def mean(self) -> Tensor:
        """Loc [B, K]."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Scale squared [B, K]."""
        return self.scale.square()

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """loc + scale * noise; the temperature has no meaning here."""
        noise = torch.randn(self.loc.shape, generator=generator, device=self.loc.device, dtype=self.loc.dtype)
        return torch.addcmul(self.loc, self.scale, noise)

    def sample(self, generator: Generator) -> Tensor:
        """The same, without gradient."""
        with torch.no_grad():
            return self.rsample(1.0, generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln N(z; loc, scale^2) [B, K]."""
        return -0.5 * ((z - self.loc) / self.scale).square() - self.log_scale - 0.5 * math.log(2 * math.pi)

    def kl(self, generator: Generator) -> Tensor:
        """KL to N(0, 1): (loc^2 + scale^2 - 1) / 2 - ln scale [B, K]; to a learned prior, that of its standardised location and scale."""
        return self.divergence


class Gaussian(LocationScaleFamily):
    """Gaussian posterior, standard normal prior, or a learned one."""

    name = "gaussian"
    version = "2"
    options_model = LearnedPriorOptions

    def distribution(self, loc: Tensor, log_scale: Tensor) -> GaussianPosterior:
        """N(loc, scale^2)."""
        return GaussianPosterior(loc, log_scale, self.learned_prior)


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `gaussian`."""
    return [Gaussian]
