"""Gaussian latents with a standard normal prior (Kingma & Welling 2014)."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from latentbench import hookimpl
from latentbench.api import Family, LocationScaleFamily, Posterior


class GaussianPosterior(Posterior):
    """N(loc, exp(log_scale)^2) in each of K dimensions; `loc` and `log_scale` [B, K]."""

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc, self.log_scale = loc, log_scale
        self.scale = log_scale.exp()  # [B, K]

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
        return self.loc + self.scale * noise

    def sample(self, generator: Generator) -> Tensor:
        """The same, without gradient."""
        with torch.no_grad():
            return self.rsample(1.0, generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln N(z; loc, scale^2) [B, K]."""
        return -0.5 * ((z - self.loc) / self.scale).square() - self.log_scale - 0.5 * math.log(2 * math.pi)

    def kl(self) -> Tensor:
        """KL to N(0, 1): (loc^2 + scale^2 - 1) / 2 - ln scale [B, K]."""
        return 0.5 * (self.loc.square() + self.variance - 1) - self.log_scale


class Gaussian(LocationScaleFamily):
    """Gaussian posterior, fixed standard normal prior."""

    name = "gaussian"

    def distribution(self, loc: Tensor, log_scale: Tensor) -> GaussianPosterior:
        """N(loc, scale^2)."""
        return GaussianPosterior(loc, log_scale)


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `gaussian`."""
    return [Gaussian]
