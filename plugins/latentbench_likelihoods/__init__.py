"""Likelihoods: `gaussian` and `student_t` of real numbers, `bernoulli` of binary ones, `poisson` and `negative_binomial` of counts."""

from __future__ import annotations

from latentbench import hookimpl
from latentbench.api import Likelihood
from latentbench_likelihoods.binary import BernoulliLikelihood
from latentbench_likelihoods.counts import NegativeBinomialLikelihood, PoissonLikelihood
from latentbench_likelihoods.real import GaussianLikelihood, StudentTLikelihood


@hookimpl
def register_likelihoods() -> list[type[Likelihood]]:
    """Register all five."""
    return [GaussianLikelihood, StudentTLikelihood, BernoulliLikelihood, PoissonLikelihood, NegativeBinomialLikelihood]
