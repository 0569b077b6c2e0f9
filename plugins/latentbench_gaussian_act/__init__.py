"""Gaussian latents that pass an activation before the decoder: `gaussian+relu` and `gaussian+exp` (Poisson VAE, section 4).

The posterior, its KL and its prior are those of the Gaussian x before the activation; samples, mean and variance are those of z = act(x).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from latentbench_gaussian import GaussianPosterior
from torch import Generator, Tensor
from torch.special import erfcx, log_ndtr

from latentbench import hookimpl
from latentbench.api import Family, LearnedPriorOptions, LocationScaleFamily, Posterior


class ActivatedPosterior(Posterior, ABC):
    """z = act(x) with x ~ N(loc, scale^2) in each of K dimensions."""

    def __init__(self, gaussian: GaussianPosterior) -> None:
        self.gaussian = gaussian

    @property
    def location(self) -> Tensor:
        """Loc [B, K], without the activation, as published."""
        return self.gaussian.loc

    @property
    def representation(self) -> Tensor:
        """Loc [B, K]."""
        return self.gaussian.loc

    @abstractmethod
    def activation(self, x: Tensor) -> Tensor:
        """Act(x)."""

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """act(loc + scale * noise); the temperature has no meaning here."""
        return self.activation(self.gaussian.rsample(temperature, generator))

    def sample(self, generator: Generator) -> Tensor:
        """The same, without gradient."""
        return self.activation(self.gaussian.sample(generator))

    def kl(self, generator: Generator) -> Tensor:
        """KL of the Gaussian before the activation [B, K], as published: that after it where the activation is one-to-one, else an upper bound."""
        return self.gaussian.kl(generator)


class ReluPosterior(ActivatedPosterior):
    """The rectified normal: max(x, 0).

    With a = loc / scale, Mills ratio R(t) = (1 - Phi(t)) / phi(t) = sqrt(pi/2) erfcx(t / sqrt 2), and t = |a|, the upper tail beyond t has
    first and second moments g = phi(t) (1 - t R(t)) and q = phi(t) ((1 + t^2) R(t) - t). For a < 0 these are the moments of z / scale; for
    a > 0 the complement is: E z = scale (a + g), Var z = scale^2 (1 - q - 2 a g - g^2). Neither side subtracts numbers that grow with a.
    """

    def activation(self, x: Tensor) -> Tensor:
        """max(x, 0)."""
        return x.relu()

    def _standard(self) -> tuple[Tensor, Tensor, Tensor]:
        a = self.gaussian.loc / self.gaussian.scale
        t = torch.where(a < 0, -a, a)  # at 0 the derivative of the branch that the moments take, where that of |a| is 0
        density = torch.exp(-0.5 * t.square()) / math.sqrt(2 * math.pi)
        mills = math.sqrt(math.pi / 2) * erfcx(t / math.sqrt(2))
        return a, density * (1 - t * mills), density * ((1 + t.square()) * mills - t)

    @property
    def mean(self) -> Tensor:
        """E max(x, 0) [B, K]."""
        a, g, _ = self._standard()
        return self.gaussian.scale * (torch.where(a < 0, 0.0, a) + g)

    @property
    def variance(self) -> Tensor:
        """Var max(x, 0) [B, K], stable in float32: never negative, also where loc is many scales below 0 or above it."""
        a, g, q = self._standard()
        # Beyond t = 13 the density underflows float32 and rounding could leave a tiny negative number.
        standard = torch.where(a < 0, q - g.square(), 1 - q - 2 * a * g - g.square())
        return self.gaussian.variance * standard.clamp(min=0)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln of the mass Phi(-a) at z = 0, of the density above it [B, K]."""
        below = log_ndtr(-self.gaussian.loc / self.gaussian.scale)
        return torch.where(z > 0, self.gaussian.log_prob(z), below)


class ExpPosterior(ActivatedPosterior):
    """The log-normal: exp(x). In float32 its variance overflows where 2 loc + 2 scale^2 > 88; a run that gets there fails as non-finite."""

    def activation(self, x: Tensor) -> Tensor:
        """exp(x)."""
        return x.exp()

    @property
    def mean(self) -> Tensor:
        """exp(loc + scale^2 / 2) [B, K]."""
        return (self.gaussian.loc + self.gaussian.variance / 2).exp()

    @property
    def variance(self) -> Tensor:
        """exp(2 loc + scale^2) (exp(scale^2) - 1) [B, K]."""
        variance = self.gaussian.variance
        return (2 * self.gaussian.loc + variance).exp() * torch.expm1(variance)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln of the log-normal density [B, K]."""
        x = z.clamp(min=torch.finfo(z.dtype).tiny).log()
        return self.gaussian.log_prob(x) - x


class GaussianRelu(LocationScaleFamily):
    """Gaussian latents, rectified before the decoder."""

    name = "gaussian+relu"
    version = "2"
    options_model = LearnedPriorOptions
    atoms = True
    deviations = {"kl": "the published divergence is that of the Gaussian before the activation, an upper bound of that after it"}

    def distribution(self, loc: Tensor, log_scale: Tensor) -> ReluPosterior:
        """max(N(loc, scale^2), 0)."""
        return ReluPosterior(GaussianPosterior(loc, log_scale, self.learned_prior))


class GaussianExp(LocationScaleFamily):
    """Gaussian latents, exponentiated before the decoder."""

    name = "gaussian+exp"
    version = "2"
    options_model = LearnedPriorOptions
    deviations = {"extremes": "moments of the log-normal distribution overflow float32 where 2 loc + 2 scale^2 > 88"}

    def distribution(self, loc: Tensor, log_scale: Tensor) -> ExpPosterior:
        """exp(N(loc, scale^2))."""
        return ExpPosterior(GaussianPosterior(loc, log_scale, self.learned_prior))


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `gaussian+relu` and `gaussian+exp`."""
    return [GaussianRelu, GaussianExp]
