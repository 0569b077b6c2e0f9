"""Poisson latents with learned prior rates: the Poisson VAE (Vafaii, Galor & Yates, NeurIPS 2024), eqs. 3 and 19, Algorithm 1."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import Parameter
from torch.nn.functional import softplus

from latentbench import hookimpl
from latentbench.api import AmortisedFamily, Assembly, Code, Evaluation, Family, Options, Posterior
from latentbench_poisson.arrivals import ArrivalCap
from latentbench_poisson.histograms import RelaxedPoissonHistograms
from latentbench_poisson.sampler import relaxed_and_hard_poisson, relaxed_poisson

LOG_RESIDUAL_LIMIT = 10.0
"""Soft upper limit of the encoder's log dr, as in the authors' code."""


def softly_below(limit: float, x: Tensor) -> Tensor:
    """limit - softplus(limit - x): smooth, below `limit`, and slightly below x everywhere (by .0067 at limit - x = 5)."""
    return limit - softplus(limit - x)


class PoissonPosterior(Posterior):
    """Pois(r dr) in each of K dimensions: prior log-rates `log_r` [K] times the encoder's residual `log_dr` [B, K].

    The KL is that of the rates before the soft limit of the total log-rate (the authors' code); samples, mean and variance come after it.
    """

    def __init__(self, log_r: Tensor, log_dr: Tensor, log_rate_limit: float, cap: ArrivalCap) -> None:
        self.log_r, self.log_dr, self.cap = log_r, log_dr, cap
        self.rate = softly_below(log_rate_limit, log_r + log_dr).exp() + torch.finfo(torch.float32).eps

    @property
    def mean(self) -> Tensor:
        """The rates [B, K]."""
        return self.rate

    @property
    def variance(self) -> Tensor:
        """The rates [B, K]."""
        return self.rate

    @property
    def representation(self) -> Tensor:
        """Log residuals ln dr [B, K], the paper's choice."""
        return self.log_dr

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """Relaxed counts by Algorithm 1, with n_exp arrivals or with all [B, K]."""
        return relaxed_poisson(self.rate, temperature, self.cap.n_exp_for(self.rate, temperature), generator)

    def relaxed_and_hard(self, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """Relaxed counts, and how many of the same arrivals fall within the unit of time: both [B, K]."""
        return relaxed_and_hard_poisson(self.rate, temperature, self.cap.n_exp_for(self.rate, temperature), generator)

    def sample(self, generator: Generator) -> Tensor:
        """True counts [B, K], never cut off at n_exp."""
        return torch.poisson(self.rate.detach(), generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln Pois(z; rate) = z ln rate - rate - ln z! [B, K]."""
        return z * self.rate.log() - self.rate - torch.lgamma(z + 1)

    def kl(self) -> Tensor:
        """r f(dr) with f(y) = 1 - y + y ln y (eqs. 3, 18) [B, K]; with u = ln y, f = u e^u - (e^u - 1), which does not cancel near u = 0."""
        return self.log_r.exp() * (self.log_dr * self.log_dr.exp() - torch.expm1(self.log_dr))


class PoissonOptions(Options):
    """Options of `poisson`."""

    truncate: bool = Field(
        True, description="Draw n_exp arrivals in training, as published; else all. At T = 1 the cut lowers the mean count by 5 % at rate 3."
    )
    log_rate_limit: float = Field(
        5.3, description="Soft upper limit of the log rate ln r + ln dr that is sampled from, for posterior and prior: rates up to 200."
    )


class Poisson(AmortisedFamily):
    """Poisson posterior with rates r dr(x), Poisson prior with trained rates r. The encoder's K outputs are ln dr."""

    name = "poisson"
    options_model = PoissonOptions
    relaxed = True
    counts = True
    defaults = {"training.temperature_start": 1.0, "training.temperature_stop": 0.05}
    protocols = {"paper-2026": {"family_options.log_rate_limit": 5.0}}

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = self.latent_dim
        high = -4.0 if assembly.linear_decoder else -2.0
        self.log_r = Parameter(torch.empty(self.latent_dim).uniform_(-6.0, high))
        assert isinstance(options, PoissonOptions)
        self.cap = ArrivalCap(options.truncate)
        self.log_rate_limit = options.log_rate_limit

    def posterior(self, features: Tensor) -> PoissonPosterior:
        """Pois(r dr) with ln dr from features [B, K]."""
        return PoissonPosterior(self.log_r, softly_below(LOG_RESIDUAL_LIMIT, features), self.log_rate_limit, self.cap)

    def prior(self, batch: int) -> PoissonPosterior:
        """Pois(r)."""
        zeros = torch.zeros(batch, self.latent_dim, dtype=self.log_r.dtype, device=self.log_r.device)
        return PoissonPosterior(self.log_r, zeros, self.log_rate_limit, self.cap)

    def begin_epoch(self, epoch: int, epochs: float) -> None:
        """Set n_exp from the largest rates of the epoch that ended."""
        self.cap.update()

    def observe(self, code: Code) -> None:
        """Keep track of the largest rate of each batch."""
        self.cap.observe(code.mean)


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `poisson`."""
    return [Poisson]


@hookimpl
def register_evaluations() -> list[type[Evaluation]]:
    """Register `relaxed_poisson`."""
    return [RelaxedPoissonHistograms]
