"""`iterative_poisson`: Poisson posteriors whose log-rates follow the natural gradient of the free energy (Vafaii, Galor & Yates 2025)."""

from __future__ import annotations

from typing import Literal, cast

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import Parameter

from latentbench.api import (
    Assembly,
    Code,
    Inference,
    IteratedPosterior,
    Options,
    Posterior,
    Range,
    added,
    relaxed_and_hard_poisson,
    relaxed_poisson,
    softly_below,
)
from latentbench_iterative.arrivals import StepArrivals
from latentbench_iterative.natural_gradient import TRAINING, NaturalGradientFamily, NaturalGradientOptions, annealed

FLOOR = -8.0
"""Hard lower limit of log-rates and of their updates, below which no gradient passes."""
FIRST_LIMIT, LAST_LIMIT = 2.0, 10.0
"""Soft upper limit of both, at the start of a run and from 10.1 % on."""
FIRST_LOG_RATE, SPREAD = -5.0, 1.0
"""Where the log-rates of q_0 begin, uniformly, as published: at -5 give or take 1."""


def poisson_kl(log_rate: Tensor, before: Tensor) -> Tensor:
    """KL(Pois(e^u) || Pois(e^v)) = e^v (1 + e^d (d - 1)), d = u - v, in nats; log-rates u and v of any one shape. It does not cancel near d = 0."""
    d = log_rate - before
    return before.exp() * (d * d.exp() - torch.expm1(d))


class PoissonStep(Posterior):
    """q_t = Pois(e^u) with log-rates `log_rate` u [B, K], after `step` = t steps, and those of q_{t-1}, `before`."""

    def __init__(self, log_rate: Tensor, before: Tensor, step: int, arrivals: StepArrivals, as_published: bool = False) -> None:
        self.log_rate, self.before, self.step, self.arrivals, self.as_published = log_rate, before, step, arrivals, as_published
        self.rate = log_rate.exp()

    @property
    def mean(self) -> Tensor:
        """The rates [B, K], which are also the variance, the location and what readouts get."""
        return self.rate

    @property
    def variance(self) -> Tensor:
        """The rates [B, K]."""
        return self.rate

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """Relaxed counts, of as many arrivals as this step needs [B, K]."""
        return relaxed_poisson(self.rate, temperature, self.arrivals.at(self.step), generator)

    def relaxed_and_hard(self, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """Relaxed counts, and how many of the same arrivals fall within the unit of time: both [B, K]."""
        return relaxed_and_hard_poisson(self.rate, temperature, self.arrivals.at(self.step), generator)

    def sample(self, generator: Generator) -> Tensor:
        """True counts [B, K]."""
        return torch.poisson(self.rate.detach(), generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln Pois(z; e^u) = z u - e^u - ln z! [B, K]."""
        return z * self.log_rate - self.rate - torch.lgamma(z + 1)

    def kl(self, generator: Generator) -> Tensor:
        """KL(q_t || q_{t-1}) [B, K]; in training as published, where that is asked for, e^(u_t - u_{t-1}) times as much."""
        kl = poisson_kl(self.log_rate, self.before)
        return kl * (self.log_rate - self.before).exp() if self.as_published else kl


class IterativePoissonOptions(NaturalGradientOptions):
    """Options of `iterative_poisson`."""

    kl: Literal["exact", "published"] = Field(
        "exact", description="Divergence that training minimises; published: e^(u_t - u_{t-1}) times as much, a slip of the authors' code."
    )
    tail: float = Field(1e-3, gt=0, lt=1, description="Probability of a true count above the n_exp arrivals that training draws.")
    first_log_rate: float = added(
        FIRST_LOG_RATE, neutral=FIRST_LOG_RATE, ge=FLOOR + SPREAD, le=FIRST_LIMIT - SPREAD, description="Where the log-rates of q_0 begin, +- 1."
    )


class IterativePoisson(NaturalGradientFamily):
    """u_t = u_{t-1} - eta (G + e^b): the natural gradient, as the rate of the chain rule and the inverse Fisher information cancel.

    Evaluations state the exact divergence, whatever training minimised.
    """

    name = "iterative_poisson"
    options_model = IterativePoissonOptions
    relaxed = True
    counts = True
    defaults = {"training.temperature_start": 1.0, "training.temperature_stop": 0.01}
    search = {"training.temperature_stop": Range(low=0.005, high=0.2, log=True)}
    protocols = {"iterative": {**TRAINING, "family_options.kl": "published"}}

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, IterativePoissonOptions)
        self.log_r = Parameter(torch.empty(self.latent_dim).uniform_(options.first_log_rate - SPREAD, options.first_log_rate + SPREAD))
        self.as_published = options.kl == "published"
        self.arrivals = StepArrivals(self.steps, options.tail)

    def prior(self, batch: int) -> PoissonStep:
        """q_0, of learned log-rates."""
        log_rate = self.log_r.expand(batch, -1)
        return PoissonStep(log_rate, log_rate, 0, self.arrivals)

    def update(self, prior: Posterior, x: Tensor, gradient: Tensor, inference: Inference) -> PoissonStep:
        """q_t of q_{t-1} and the gradient -G [B, K] at its draw."""
        before, limit = cast("PoissonStep", prior), annealed(FIRST_LIMIT, LAST_LIMIT, inference.progress)
        (eta,) = self.eta
        change = _limited(eta * (gradient - self.log_bias.exp()), limit)
        log_rate = _limited(before.log_rate + change, limit)
        return PoissonStep(log_rate, before.log_rate, before.step + 1, self.arrivals, self.as_published and inference.training)

    def state(self, posterior: Posterior) -> Tensor:
        """The log-rates [B, K]."""
        return cast("PoissonStep", posterior).log_rate

    def divergence(self, posterior: Posterior, prior: Posterior) -> Tensor:
        """KL(posterior || prior) [B, K]."""
        return poisson_kl(self.state(posterior), self.state(prior))

    def observe(self, code: Code) -> None:
        """Keep track of the largest rates of each step."""
        self.arrivals.observe([q.mean for q in cast("IteratedPosterior", code).path])


def _limited(x: Tensor, limit: float) -> Tensor:
    return softly_below(limit, x.clamp(min=FLOOR))
