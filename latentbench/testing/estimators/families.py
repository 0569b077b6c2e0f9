"""Families of the kit whose expected losses are known: a Gaussian, by Gauss-Hermite quadrature, relaxed Bernoullis and one-hots, by enumeration."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import logsigmoid

from latentbench.models.codes import Posterior
from latentbench.models.family import AmortisedFamily
from latentbench.part import Assembly, Options

CATEGORIES = 3
"""Of a one-hot vector."""


class GaussianCode(Posterior):
    """N(location, e^(2 log_scale)) in each of K dimensions, with a prior N(prior, 1)."""

    def __init__(self, location: Tensor, log_scale: Tensor, prior: Tensor) -> None:
        self.location_, self.log_scale, self.prior = location, log_scale, prior  # [B, K] each

    @property
    def mean(self) -> Tensor:
        """The location [B, K]."""
        return self.location_

    @property
    def variance(self) -> Tensor:
        """The scale squared [B, K]."""
        return (2 * self.log_scale).exp()

    def at(self, noise: Tensor) -> Tensor:
        """The sample that standard normal noise [..., B, K] gives."""
        return self.location_ + self.log_scale.exp() * noise

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """location + scale * noise [B, K]."""
        like = self.location_
        return self.at(torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device))

    def sample(self, generator: Generator) -> Tensor:
        """The same without gradient [B, K]."""
        return self.rsample(1.0, generator).detach()

    def log_prob(self, z: Tensor) -> Tensor:
        """ln q(z) [B, K]."""
        return -0.5 * ((z - self.location_) / self.log_scale.exp()).square() - self.log_scale - 0.5 * math.log(2 * math.pi)

    def kl(self, generator: Generator) -> Tensor:
        """KL to N(prior, 1) [B, K]."""
        return 0.5 * ((self.location_ - self.prior).square() + self.variance - 1) - self.log_scale


class BernoulliCode(Posterior):
    """Independent zeros and ones with `logits` [B, K], relaxed by logistic noise (Maddison et al. 2017), with a Bernoulli prior of logits `prior`."""

    def __init__(self, logits: Tensor, prior: Tensor) -> None:
        self.logits, self.prior = logits, prior

    @property
    def mean(self) -> Tensor:
        """The probability of a one [B, K]."""
        return self.logits.sigmoid()

    @property
    def variance(self) -> Tensor:
        """p (1 - p) [B, K]."""
        return self.mean * (1 - self.mean)

    def at(self, uniform: Tensor, temperature: float) -> Tensor:
        """The relaxed sample sigmoid((logits + ln u - ln(1 - u)) / T) that uniform noise u [..., B, K] gives."""
        return ((self.logits + uniform.log() - (-uniform).log1p()) / temperature).sigmoid()

    def relaxed_and_hard(self, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """The relaxed sample and whether it is above one half, both [B, K]."""
        like = self.logits
        uniform = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device).clamp(torch.finfo(like.dtype).tiny)
        relaxed = self.at(uniform, temperature)
        return relaxed, (relaxed > 0.5).to(like.dtype)

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """The relaxed sample [B, K]."""
        return self.relaxed_and_hard(temperature, generator)[0]

    def sample(self, generator: Generator) -> Tensor:
        """Zeros and ones [B, K]."""
        with torch.no_grad():
            return self.relaxed_and_hard(1.0, generator)[1]

    def log_prob(self, z: Tensor) -> Tensor:
        """ln q(z) [B, K]."""
        return z * logsigmoid(self.logits) + (1 - z) * logsigmoid(-self.logits)

    def kl(self, generator: Generator) -> Tensor:
        """KL to the prior [B, K]."""
        one = self.mean * (logsigmoid(self.logits) - logsigmoid(self.prior))
        return one + (1 - self.mean) * (logsigmoid(-self.logits) - logsigmoid(-self.prior))


class OneHotCode(Posterior):
    """Groups of `CATEGORIES` categories with `logits` [B, K], one group after the other, with a prior of logits `prior`."""

    def __init__(self, logits: Tensor, prior: Tensor) -> None:
        self.log_p, self.log_prior = (_grouped(values).log_softmax(-1) for values in (logits, prior))  # [B, G, C]

    @property
    def mean(self) -> Tensor:
        """Probabilities [B, K]."""
        return self.log_p.exp().flatten(1)

    @property
    def variance(self) -> Tensor:
        """p (1 - p) [B, K]."""
        return self.mean * (1 - self.mean)

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """There is no relaxation.

        Raises:
            NotImplementedError: always, as estimators for one-hots alone decode true samples.
        """
        raise NotImplementedError("the kit's one-hots are for estimators that decode true samples")

    def sample(self, generator: Generator) -> Tensor:
        """One-hots [B, K], by inversion of the cumulated probabilities."""
        p = self.log_p.detach().exp()
        uniform = torch.rand(p.shape[:-1], generator=generator, dtype=p.dtype, device=p.device)
        chosen = (uniform[..., None] > p.cumsum(-1)).sum(-1, keepdim=True).clamp(max=CATEGORIES - 1)
        return torch.zeros_like(p).scatter_(-1, chosen, 1).flatten(1)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln q of the chosen categories [B, G]."""
        return (_grouped(z) * self.log_p).sum(-1)

    def kl(self, generator: Generator) -> Tensor:
        """KL to the prior [B, G]."""
        return (self.log_p.exp() * (self.log_p - self.log_prior)).sum(-1)


def _grouped(values: Tensor) -> Tensor:
    """Numbers [..., K] by group [..., G, C]."""
    return values.reshape(*values.shape[:-1], -1, CATEGORIES)


class KitGaussian(AmortisedFamily):
    """Gaussian posterior; the locations of the prior are trained."""

    name = "kit_gaussian"

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = 2 * self.latent_dim
        self.prior_location = nn.Parameter(torch.linspace(-0.5, 0.5, self.latent_dim))

    def posterior(self, features: Tensor) -> GaussianCode:
        """Locations and log-scales side by side in the features [B, 2K]."""
        location, log_scale = features.chunk(2, dim=1)
        return GaussianCode(location, log_scale, self.prior_location.expand_as(location))

    def prior(self, batch: int) -> GaussianCode:
        """N(prior_location, 1)."""
        location = self.prior_location.expand(batch, -1)
        return GaussianCode(location, torch.zeros_like(location), location)


class KitBernoulli(AmortisedFamily):
    """Bernoulli posterior with a relaxation; the logits of the prior are trained."""

    name = "kit_bernoulli"
    relaxed = True

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = self.latent_dim
        self.prior_logits = nn.Parameter(torch.linspace(-0.5, 0.5, self.latent_dim))

    def posterior(self, features: Tensor) -> BernoulliCode:
        """The features [B, K] are the logits."""
        return BernoulliCode(features, self.prior_logits.expand_as(features))

    def prior(self, batch: int) -> BernoulliCode:
        """Bernoulli(sigmoid(prior_logits))."""
        logits = self.prior_logits.expand(batch, -1)
        return BernoulliCode(logits, logits)


class KitOneHot(AmortisedFamily):
    """One-hot posterior without a relaxation; the logits of the prior are trained."""

    name = "kit_one_hot"
    relaxed = True
    one_hot = True
    covaries = True

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = self.latent_dim
        self.prior_logits = nn.Parameter(torch.linspace(-0.5, 0.5, self.latent_dim))

    def posterior(self, features: Tensor) -> OneHotCode:
        """The features [B, K] are the logits."""
        return OneHotCode(features, self.prior_logits.expand_as(features))

    def prior(self, batch: int) -> OneHotCode:
        """softmax(prior_logits) of each group."""
        logits = self.prior_logits.expand(batch, -1)
        return OneHotCode(logits, logits)
