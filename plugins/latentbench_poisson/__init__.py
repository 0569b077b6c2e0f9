"""Poisson latents with learned prior rates: the Poisson VAE (Vafaii, Galor & Yates, NeurIPS 2024), eqs. 3 and 19, Algorithm 1."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import Parameter

from latentbench import hookimpl
from latentbench.api import (
    AmortisedFamily,
    ArrivalCap,
    Assembly,
    Code,
    Evaluation,
    Family,
    Options,
    Posterior,
    Range,
    Relaxation,
    added,
    relaxed_and_hard_poisson,
    relaxed_poisson,
    softly_below,
)
from latentbench_poisson.histograms import RelaxedPoissonHistograms
from latentbench_poisson.rates import LOG_RESIDUAL_LIMIT, NO_RESIDUAL, SMALLEST_RATE, encoded_rates


class PoissonPosterior(Posterior):
    """Pois(rate) in each of K dimensions, with its divergences from the prior, from an encoder's `features`: all [B, K].

    The divergence, r f(dr) with f(y) = 1 - y + y ln y (Poisson VAE, eqs. 3 and 18), is that of the rates before the soft limit of the total log-rate
    (the authors' code); samples, mean and variance come after it.
    """

    def __init__(self, rate: Tensor, divergence: Tensor, features: Tensor, cap: ArrivalCap) -> None:
        self.rate, self.divergence, self.features, self.cap = rate, divergence, features, cap

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
        return softly_below(LOG_RESIDUAL_LIMIT, self.features)

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """Relaxed counts by Algorithm 1, with n_exp arrivals or with all [B, K]; or by another relaxation."""
        return relaxed_poisson(self.rate, temperature, self.cap.n_exp_for(self.rate, temperature), generator, self.cap.relaxation)

    def relaxed_and_hard(self, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """Relaxed counts, and how many of the same arrivals fall within the unit of time: both [B, K]."""
        return relaxed_and_hard_poisson(self.rate, temperature, self.cap.n_exp_for(self.rate, temperature), generator, self.cap.relaxation)

    def sample(self, generator: Generator) -> Tensor:
        """True counts [B, K], never cut off at n_exp."""
        return torch.poisson(self.rate.detach(), generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln Pois(z; rate) = z ln rate - rate - ln z! [B, K]."""
        return z * self.rate.log() - self.rate - torch.lgamma(z + 1)

    def values(self, tail: float) -> Tensor | None:
        """The counts [V, 1] from 0 to the smallest n that the largest rate exceeds with probability `tail` at most; None for tail 0."""
        if tail <= 0:
            return None
        from scipy.special import gammainc  # a tenth of a second that only this takes

        largest, n = float(self.rate.detach().max()), 0
        while gammainc(n + 1, largest) > tail:  # P(count > n)
            n += 1
        return torch.arange(n + 1, dtype=self.rate.dtype, device=self.rate.device)[:, None]

    def kl(self, generator: Generator) -> Tensor:
        """r (1 - dr + dr ln dr) [B, K]."""
        return self.divergence


class PoissonOptions(Options):
    """Options of `poisson`."""

    truncate: bool = Field(
        True, description="Draw n_exp arrivals in training, as published; else all. At T = 1 the cut lowers the mean count by 5 % at rate 3."
    )
    log_rate_limit: float = Field(
        5.3, description="Soft upper limit of the log rate ln r + ln dr that is sampled from, for posterior and prior: rates up to 200."
    )
    relaxation: Relaxation = added(
        "sigmoid",
        neutral="sigmoid",
        description="What training samples have in place of a step at the end of the unit of time: a sigmoid, as published, or a compact ramp; or a "
        "Gumbel-softmax over counts. Equal temperatures are not equal smoothing: see `effective_width`.",
    )
    tail: float = added(1e-5, neutral=1e-5, gt=0, le=0.01, description="Probability that a count at the largest rate exceeds n_exp.")
    n_exp_from: Literal["epoch", "batch"] = added(
        "epoch",
        neutral="epoch",
        description="The largest rate that n_exp is for: the last epoch's mean of each batch's, as published, or that of the batch at hand.",
    )


class Poisson(AmortisedFamily):
    """Poisson posterior with rates r dr(x), Poisson prior with trained rates r. The encoder's K outputs are ln dr."""

    name = "poisson"
    version = "2"
    options_model = PoissonOptions
    relaxed = True
    counts = True
    defaults = {"training.temperature_start": 1.0, "training.temperature_stop": 0.05}
    search = {"training.temperature_stop": Range(low=0.01, high=0.5, log=True)}
    protocols = {"paper-2026": {"family_options.log_rate_limit": 5.0}}
    deviations = {"kl": "the published divergence is that of the rates before the soft limit of their logarithm, which lowers the rates sampled from"}

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A Gumbel-softmax is over finitely many counts."""
        assert isinstance(options, PoissonOptions)
        unbounded = options.relaxation == "gumbel_softmax" and not options.truncate
        return "a Gumbel-softmax is over n_exp counts: it needs family_options.truncate" if unbounded else None

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = self.latent_dim
        high = -4.0 if assembly.linear_decoder else -2.0
        self.log_r = Parameter(torch.empty(self.latent_dim).uniform_(-6.0, high))
        assert isinstance(options, PoissonOptions)
        self.cap = ArrivalCap(options.truncate, options.tail, options.n_exp_from == "batch", options.relaxation)
        self.log_rate_limit = options.log_rate_limit

    def posterior(self, features: Tensor) -> PoissonPosterior:
        """Pois(r dr) with ln dr from features [B, K]."""
        return PoissonPosterior(*encoded_rates(features, self.log_r, self.log_rate_limit), features, self.cap)

    def prior(self, batch: int) -> PoissonPosterior:
        """Pois(r)."""
        rate = softly_below(self.log_rate_limit, self.log_r).exp() + SMALLEST_RATE
        zeros = torch.zeros(batch, self.latent_dim, dtype=rate.dtype, device=rate.device)
        return PoissonPosterior(rate.expand(batch, -1), zeros, zeros + NO_RESIDUAL, self.cap)

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
