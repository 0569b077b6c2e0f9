"""Laplace latents with a Laplace(0, 1) prior (Poisson VAE, Table 1)."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from latentbench import hookimpl
from latentbench.api import Family, LearnedPriorOptions, LocationScaleFamily, Posterior, log_in_place
from latentbench_laplace.divergence import scale_and_divergence


class LaplacePosterior(Posterior):
    """Laplace(loc, exp(log_scale)) in each of K dimensions; `loc` and `log_scale` [B, K], those of a learned prior [K] or [B, K]."""

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
        """2 scale^2 [B, K]."""
        return 2 * self.scale.square()

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """loc + scale * noise, noise by the inverse cdf -sgn(u) ln(1 - 2|u|); the temperature has no meaning here."""
        u = torch.rand(self.loc.shape, generator=generator, device=self.loc.device, dtype=self.loc.dtype).sub_(0.5)
        # torch.rand returns exact zeros, where the inverse cdf is infinite. 1 - 2|u| is exact.
        tail = u.abs().mul_(-2).add_(1).clamp_(min=torch.finfo(u.dtype).eps)
        return torch.addcmul(self.loc, self.scale, log_in_place(tail).copysign_(u))

    def sample(self, generator: Generator) -> Tensor:
        """The same, without gradient."""
        with torch.no_grad():
            return self.rsample(1.0, generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln Laplace(z; loc, scale) [B, K]."""
        return -(z - self.loc).abs() / self.scale - self.log_scale - math.log(2)

    def kl(self, generator: Generator) -> Tensor:
        """KL to Laplace(0, 1): scale exp(-|loc| / scale) + |loc| - ln scale - 1 [B, K]; to a learned prior, that of standardised ones."""
        return self.divergence


class Laplace(LocationScaleFamily):
    """Laplace posterior, Laplace(0, 1) prior, or a learned one."""

    name = "laplace"
    version = "2"
    options_model = LearnedPriorOptions

    def distribution(self, loc: Tensor, log_scale: Tensor) -> LaplacePosterior:
        """Laplace(loc, scale)."""
        return LaplacePosterior(loc, log_scale, self.learned_prior)


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `laplace`."""
    return [Laplace]
