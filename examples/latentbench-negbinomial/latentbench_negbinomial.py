"""`negbinomial`: negative binomial latents, counts whose variance exceeds their mean, sampled as Poisson counts with Gamma rates.

With mean m and size r (small r: overdispersed; r -> infinity: Poisson) in each dimension,

    z ~ NB(m, r)  <=>  l ~ Gamma(r, r / m),  z | l ~ Pois(l);    E z = m,  Var z = m + m^2 / r.

Exact: log-probabilities, moments and true samples; the gradient through l, by implicit differentiation of the Gamma's cdf (Figurnov, Mohamed & Mnih
2018); the KL where prior and posterior share r. Unbiased: the KL where they do not. Approximate: in training the Poisson count is relaxed at a
temperature T (Algorithm 1 of Vafaii, Galor & Yates 2024), whose bias vanishes as T -> 0. `relaxed_and_hard` gives the true count of the same noise.

The prior NB(m_p, r_p) is learned, and the encoder gives the posterior's residual u: ln m_q = ln m_p + u.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.distributions import Gamma
from torch.nn import Parameter
from torch.nn.functional import softplus

from latentbench import hookimpl
from latentbench.api import (
    AmortisedFamily,
    ArrivalCap,
    Assembly,
    Family,
    Options,
    Posterior,
    relaxed_and_hard_poisson,
    relaxed_poisson,
    seeded,
    softly_below,
    softly_within,
)

LOG_MEAN_LIMIT, LOG_SIZE_LIMIT = 4.0, 3.0
"""Soft limits: means below 55, sizes from .05 to 20."""
RATE_MIN = torch.finfo(torch.float32).eps
"""Added to rates that are relaxed: a Gamma of small shape has samples that underflow to 0, where the relaxation has no gradient."""


class NegativeBinomial:
    """NB with `log_mean` [B, K], or [K], and `log_size`, which may be [K] for a whole batch."""

    def __init__(self, log_mean: Tensor, log_size: Tensor) -> None:
        self.log_mean, self.log_size = log_mean, log_size
        self.mean, self.size = log_mean.exp(), log_size.exp()

    def rates(self, generator: Generator) -> Tensor:
        """Samples of l = m g with g ~ Gamma(r, r), which does not underflow where m does; reparameterised [B, K]."""
        size = self.size.expand_as(self.mean)
        with seeded(generator):
            return self.mean * Gamma(size, size, validate_args=False).rsample()

    def log_prob(self, z: Tensor) -> Tensor:
        """ln NB(z) = ln G(z + r) - ln z! + linear(z), of the shape of z."""
        return torch.lgamma(z + self.size) - torch.lgamma(z + 1) + self.linear(z)

    def linear(self, z: Tensor) -> Tensor:
        """What is linear in z of ln NB(z): -z ln(1 + r / m) - r ln(1 + m / r) - ln G(r)."""
        ratio = self.log_size - self.log_mean
        return -z * softplus(ratio) - self.size * softplus(-ratio) - torch.lgamma(self.size)


def divergence(q: NegativeBinomial, p: NegativeBinomial, z: Tensor) -> Tensor:
    """KL(q || p) at a true sample z of q: exact, whatever z is, where both have one size; else unbiased, in value and gradient.

    ln q - ln p = h + (linear_q - linear_p), with h(z) = ln G(z + r_q) - ln G(z + r_p), which is 0 for one size. The expectation of what is linear is
    its value at m_q. That of h is estimated by h(z), its gradient by that of h plus (h(z) - b) grad ln q(z), where the baseline b = h(m_q) lowers
    the variance and, as it does not depend on z, adds no bias.
    """
    exact = q.linear(q.mean) - p.linear(q.mean)
    if q.log_size is p.log_size:
        return exact

    def h(at: Tensor) -> Tensor:
        return torch.lgamma(at + q.size) - torch.lgamma(at + p.size)

    log_q = q.log_prob(z)
    score = (h(z) - h(q.mean)).detach() * (log_q - log_q.detach())  # 0, with the score function's gradient
    return exact + h(z) + score


class NegativeBinomialPosterior(Posterior):
    """The distribution `q`, with the prior `p` that its KL is taken to."""

    def __init__(self, q: NegativeBinomial, p: NegativeBinomial) -> None:
        self.q, self.p = q, p

    @property
    def mean(self) -> Tensor:
        """Means m [B, K]."""
        return self.q.mean

    @property
    def variance(self) -> Tensor:
        """m + m^2 / r [B, K]."""
        return self.q.mean + self.q.mean.square() / self.q.size

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """A Gamma rate, then the relaxed Poisson count at it [B, K]; no arrival that matters is cut off."""
        rate = self.q.rates(generator) + RATE_MIN
        return relaxed_poisson(rate, temperature, _all_arrivals(rate, temperature), generator)

    def relaxed_and_hard(self, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """The relaxed count, and the true one of the same rate and arrivals: both [B, K]."""
        rate = self.q.rates(generator) + RATE_MIN
        return relaxed_and_hard_poisson(rate, temperature, _all_arrivals(rate, temperature), generator)

    def sample(self, generator: Generator) -> Tensor:
        """True counts [B, K]."""
        with torch.no_grad():
            return torch.poisson(self.q.rates(generator), generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln NB(z; m, r) [B, K]."""
        return self.q.log_prob(z)

    def kl(self, generator: Generator) -> Tensor:
        """The KL to the prior [B, K]: exact for one size, else estimated at one sample."""
        return divergence(self.q, self.p, self.sample(generator))


def _all_arrivals(rate: Tensor, temperature: float) -> int:
    """As many as matter: rates have a long tail, so that a fixed number would cut some counts."""
    return ArrivalCap(truncate=False).n_exp_for(rate, temperature)


class NegativeBinomialOptions(Options):
    """Options of `negbinomial`."""

    dispersion: Literal["shared", "learned"] = Field(
        "shared", description="shared: one size r in each dimension for prior and posterior; learned: the encoder gives the posterior's."
    )


class NegativeBinomialFamily(AmortisedFamily):
    """NB posterior with ln m_q = ln m_p + u(x), NB prior with trained means and sizes. The encoder gives u, and with `learned` raw ln r_q too."""

    name = "negbinomial"
    options_model = NegativeBinomialOptions
    relaxed = True
    counts = True
    estimated_kl = True
    defaults = {"training.temperature_start": 1.0, "training.temperature_stop": 0.05}

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, NegativeBinomialOptions)
        self.estimated_kl = options.dispersion == "learned"  # type: ignore[misc]  # of this family it depends on the options
        self.features = self.latent_dim * (2 if self.estimated_kl else 1)
        self.raw_log_mean = Parameter(torch.empty(self.latent_dim).uniform_(-3.0, -1.0))
        self.raw_log_size = Parameter(torch.zeros(self.latent_dim))

    def posterior(self, features: Tensor) -> NegativeBinomialPosterior:
        """The posterior from features [B, K] or [B, 2K]."""
        p = self._prior()
        residual, raw = features.chunk(2, dim=1) if self.estimated_kl else (features, None)
        log_size = p.log_size if raw is None else softly_within(LOG_SIZE_LIMIT, self.raw_log_size + raw)
        return NegativeBinomialPosterior(NegativeBinomial(softly_below(LOG_MEAN_LIMIT, self.raw_log_mean + residual), log_size), p)

    def prior(self, batch: int) -> NegativeBinomialPosterior:
        """NB(m_p, r_p), repeated."""
        p = self._prior()
        repeated = NegativeBinomial(p.log_mean.expand(batch, -1), p.log_size)
        return NegativeBinomialPosterior(repeated, repeated)

    def _prior(self) -> NegativeBinomial:
        return NegativeBinomial(softly_below(LOG_MEAN_LIMIT, self.raw_log_mean), softly_within(LOG_SIZE_LIMIT, self.raw_log_size))


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `negbinomial`."""
    return [NegativeBinomialFamily]
