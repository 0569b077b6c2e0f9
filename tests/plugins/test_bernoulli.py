"""Bernoulli latents against scipy, the Concrete distribution against its density, and the prior that is learned."""

import math

import pytest
import torch
from latentbench_bernoulli import BernoulliPosterior
from scipy import stats

from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import assemble


@pytest.mark.parametrize(("logit", "prior"), [(0.3, -2.0), (-4.0, 1.0), (30.0, -1.0), (0.0, 0.0)])
def test_the_divergence_and_the_moments_are_those_of_two_outcomes(logit, prior):
    q = BernoulliPosterior(*(torch.tensor([[value]], dtype=torch.float64) for value in (logit, prior)))
    p, r = (1 / (1 + math.exp(-value)) for value in (logit, prior))
    entropy = stats.entropy([p, 1 / (1 + math.exp(logit))], [r, 1 - r])
    assert float(q.kl(stream(1))) == pytest.approx(entropy, rel=1e-9, abs=1e-12)
    assert float(q.variance) == pytest.approx(math.exp(-logit) * p * p, rel=1e-9)
    assert float(q.log_prob(torch.zeros(1, 1))) == pytest.approx(-math.log1p(math.exp(logit)), rel=1e-6)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_relaxed_samples_have_the_binary_concrete_distribution(temperature):
    """Their logits times T, less those of the posterior, are logistic; a true sample fails with probability 1e-6."""
    logits = torch.full((20_000, 1), 0.7, dtype=torch.float64)
    relaxed = BernoulliPosterior(logits, logits).rsample(temperature, stream(1))
    assert stats.kstest((relaxed.logit() * temperature - 0.7).flatten().numpy(), "logistic").pvalue > 1e-6


def test_hard_samples_are_the_rounded_relaxed_ones():
    logits = torch.randn(1000, 3, generator=stream(1))
    relaxed, hard = BernoulliPosterior(logits, logits).relaxed_and_hard(0.5, stream(2))
    assert torch.equal(relaxed.round(), hard)


@pytest.mark.parametrize("learned", [True, False])
def test_the_prior_is_trained_where_that_is_asked_for(make_run, registry, learned):
    run = make_run(family="bernoulli", family_options__learned_prior=learned, family_options__prior_probability=0.2).run
    model = build_model(assemble(run, registry), 1, "cpu", torch.float32)
    assert ("family.prior_logits" in dict(model.named_parameters())) is learned
    assert "family.prior_logits" in model.state_dict()
    assert float(model.family.prior(3).mean.detach().mean()) == pytest.approx(0.2)
