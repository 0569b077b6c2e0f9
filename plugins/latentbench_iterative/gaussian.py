"""`iterative_gaussian` and `iterative_gaussian+relu`: Gaussian posteriors, their draws decoded as they are or rectified (Vafaii et al. 2025)."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from latentbench_gaussian import GaussianPosterior
from latentbench_gaussian_act import ReluPosterior
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import Parameter

from latentbench.api import Assembly, Inference, Options, Posterior, softly_within
from latentbench_iterative.natural_gradient import TRAINING, NaturalGradientFamily, NaturalGradientOptions, annealed

FIRST_LIMIT = 1.0
"""Soft limit of the absolute value of states and of their updates at the start of a run."""
LOC_LIMIT, LOG_SCALE_LIMIT = 7.0, 2.0
"""Those of mu and of ln sigma from 10.1 % of the run on."""
LOC_UPDATE_LIMIT, LOG_SCALE_UPDATE_LIMIT = 7.0, 3.0
"""Those of their updates."""


class GaussianStep(Posterior):
    """q_t = N(mu, e^(2 xi)) in each of K dimensions, with `loc` mu and `log_scale` xi [B, K], and the q_{t-1} `before`; None for q_0."""

    is_normal = True

    def __init__(self, loc: Tensor, log_scale: Tensor, before: GaussianStep | None = None) -> None:
        self.loc, self.log_scale, self.before = loc, log_scale, before
        self.scale = log_scale.exp()

    @property
    def mean(self) -> Tensor:
        """Mu [B, K]."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """e^(2 xi) [B, K]."""
        return self.scale.square()

    def draw(self, generator: Generator) -> Tensor:
        """mu + e^xi times noise [B, K], differentiable in both."""
        noise = torch.randn(self.loc.shape, generator=generator, device=self.loc.device, dtype=self.loc.dtype)
        return self.loc + self.scale * noise

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """A draw [B, K]; the temperature has no meaning here."""
        return self.draw(generator)

    def sample(self, generator: Generator) -> Tensor:
        """A draw without gradient [B, K]."""
        with torch.no_grad():
            return self.rsample(1.0, generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln N(z; mu, e^(2 xi)) [B, K]."""
        return GaussianPosterior(self.loc, self.log_scale).log_prob(z)

    def kl(self, generator: Generator) -> Tensor:
        """KL(q_t || q_{t-1}) [B, K]; 0 for q_0."""
        return gaussian_kl(self, self.before or self)


class RectifiedStep(GaussianStep):
    """Samples, mean and variance of z = gain max(x, 0) with x ~ q_t; the divergence is that of x, which bounds that of z. `gain` [K]."""

    is_normal = False

    def __init__(self, loc: Tensor, log_scale: Tensor, gain: Tensor, before: GaussianStep | None = None) -> None:
        super().__init__(loc, log_scale, before)
        self.gain = gain

    @property
    def _relu(self) -> ReluPosterior:
        return ReluPosterior(GaussianPosterior(self.loc, self.log_scale))

    @property
    def mean(self) -> Tensor:
        """Gain times E max(x, 0) [B, K]."""
        return self.gain * self._relu.mean

    @property
    def variance(self) -> Tensor:
        """Gain squared times Var max(x, 0) [B, K]."""
        return self.gain.square() * self._relu.variance

    @property
    def location(self) -> Tensor:
        """Mu [B, K], before the activation."""
        return self.loc

    @property
    def representation(self) -> Tensor:
        """The activation of mu [B, K]."""
        return self.gain * self.loc.relu()

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """Gain times a rectified draw [B, K]."""
        return self.gain * self.draw(generator).relu()

    def log_prob(self, z: Tensor) -> Tensor:
        """ln of the mass at z = 0, of the density above it [B, K]."""
        density = self._relu.log_prob(z / self.gain)
        return torch.where(z > 0, density - self.gain.log(), density)


def gaussian_kl(q: GaussianStep, p: GaussianStep) -> Tensor:
    """KL(q || p) = (e^(2d) - 1 - 2d + (mu_q - mu_p)^2 / sigma_p^2) / 2 with d = xi_q - xi_p, in nats [B, K]."""
    d = q.log_scale - p.log_scale
    return 0.5 * (torch.expm1(2 * d) - 2 * d + ((q.loc - p.loc) / p.scale).square())


class IterativeGaussian(NaturalGradientFamily):
    """mu_t = mu - eta_1 (sigma^2 G + e^b), xi_t = xi - eta_2 G (x - mu) / 2: natural gradients, where xi = ln sigma and G is taken at a draw x."""

    name = "iterative_gaussian"
    states = 2
    protocols = {"iterative": TRAINING}

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.loc, self.log_scale = (Parameter(torch.zeros(self.latent_dim)) for _ in range(2))

    def posterior(self, loc: Tensor, log_scale: Tensor, before: GaussianStep | None = None) -> GaussianStep:
        """N(loc, e^(2 log_scale)), whose step before was `before`."""
        return GaussianStep(loc, log_scale, before)

    def prior(self, batch: int) -> GaussianStep:
        """q_0, of learned mu and xi."""
        return self.posterior(self.loc.expand(batch, -1), self.log_scale.expand(batch, -1))

    def draw(self, posterior: Posterior, inference: Inference) -> Tensor:
        """A draw of x, before any activation [B, K]."""
        x = cast("GaussianStep", posterior).draw(inference.generator)
        return x if inference.training else x.detach()

    def update(self, prior: Posterior, x: Tensor, gradient: Tensor, inference: Inference) -> GaussianStep:
        """q_t of q_{t-1} and the gradient -G [B, K] at its draw x."""
        q, progress = cast("GaussianStep", prior), inference.progress
        for_loc, for_log_scale = self.eta
        change = for_loc * (q.scale.square() * gradient - self.log_bias.exp())
        loc = _limited(q.loc + _limited(change, LOC_UPDATE_LIMIT, progress), LOC_LIMIT, progress)
        change = for_log_scale * 0.5 * gradient * (x - q.loc)
        log_scale = _limited(q.log_scale + _limited(change, LOG_SCALE_UPDATE_LIMIT, progress), LOG_SCALE_LIMIT, progress)
        return self.posterior(loc, log_scale, q)

    def divergence(self, posterior: Posterior, prior: Posterior) -> Tensor:
        """KL(posterior || prior) [B, K]."""
        return gaussian_kl(cast("GaussianStep", posterior), cast("GaussianStep", prior))


class RectifiedOptions(NaturalGradientOptions):
    """Options of `iterative_gaussian+relu`."""

    gain: bool = Field(True, description="Whether each unit has a learned gain after the rectifier; the published models of MNIST have none.")


class IterativeGaussianRelu(IterativeGaussian):
    """The same with draws that are rectified before they are decoded: z = e^g max(x, 0), g a learned log-gain of each unit."""

    name = "iterative_gaussian+relu"
    options_model: ClassVar[type[Options]] = RectifiedOptions
    deviations = {"divergence": "the published divergence is that of the Gaussian before the rectifier, an upper bound of that after it"}

    log_gain: Tensor

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, RectifiedOptions)
        if options.gain:
            self.log_gain = Parameter(torch.zeros(self.latent_dim))
        else:
            self.register_buffer("log_gain", torch.zeros(self.latent_dim), persistent=False)

    def posterior(self, loc: Tensor, log_scale: Tensor, before: GaussianStep | None = None) -> RectifiedStep:
        """The rectified N(loc, e^(2 log_scale))."""
        return RectifiedStep(loc, log_scale, self.log_gain.exp(), before)

    def activation(self, x: Tensor) -> Tensor:
        """e^g max(x, 0) [B, K]."""
        return self.log_gain.exp() * x.relu()


def _limited(x: Tensor, limit: float, progress: float) -> Tensor:
    return softly_within(annealed(FIRST_LIMIT, limit, progress), x)
