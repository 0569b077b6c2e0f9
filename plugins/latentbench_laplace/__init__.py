"""Laplace latents with a Laplace(0, 1) prior (Poisson VAE, Table 1)."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from latentbench import hookimpl
from latentbench.api import Family, LocationScaleFamily, Posterior


class LaplacePosterior(Posterior):
    """Laplace(loc, exp(log_scale)) in each of K dimensions; `loc` and `log_scale` [B, K]."""

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc, self.log_scale = loc, log_scale

    @property
    def mean(self) -> Tensor:
        """Loc [B, K]."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """2 scale^2 [B, K]."""
        return 2 * (2 * self.log_scale).exp()

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """loc + scale * noise, noise by the inverse cdf -sgn(u) ln(1 - 2|u|); the temperature has no meaning here."""
        u = torch.rand(self.loc.shape, generator=generator, device=self.loc.device, dtype=self.loc.dtype) - 0.5
        # torch.rand returns exact zeros, where the inverse cdf is infinite.
        distance = (2 * u.abs()).clamp(max=1 - torch.finfo(u.dtype).eps)
        return self.loc - self.log_scale.exp() * u.sign() * torch.log1p(-distance)

    def sample(self, generator: Generator) -> Tensor:
        """The same, without gradient."""
        with torch.no_grad():
            return self.rsample(1.0, generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln Laplace(z; loc, scale) [B, K]."""
        return -(z - self.loc).abs() * (-self.log_scale).exp() - self.log_scale - math.log(2)

    def kl(self) -> Tensor:
        """KL to Laplace(0, 1): scale exp(-|loc| / scale) + |loc| - ln scale - 1 [B, K]."""
        distance = self.loc.abs()
        return (self.log_scale - distance * (-self.log_scale).exp()).exp() + distance - self.log_scale - 1


class Laplace(LocationScaleFamily):
    """Laplace posterior, fixed Laplace(0, 1) prior."""

    name = "laplace"

    def distribution(self, loc: Tensor, log_scale: Tensor) -> LaplacePosterior:
        """Laplace(loc, scale)."""
        return LaplacePosterior(loc, log_scale)


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `laplace`."""
    return [Laplace]
