"""Learned priors of location-scale families: divergences by quadrature, and nothing else of runs without one."""

import math

import pytest
import torch
from scipy import integrate, stats

from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

LAWS = {"gaussian": stats.norm, "laplace": stats.laplace}


@pytest.fixture
def family(make_run, registry):
    def make(name, learned):
        run = make_run(family=name, family_options__learned_prior=learned).run
        return build_model(assemble(run, registry), 1, "cpu", torch.float64).family

    return make


@pytest.mark.parametrize("name", LAWS)
def test_the_divergence_is_that_to_the_learned_prior(family, name):
    made, law = family(name, True), LAWS[name]
    with torch.no_grad():
        made.prior_loc.fill_(0.7)
        made.prior_log_scale.fill_(-0.4)
        q, p = law(0.3, 0.8), law(0.7, math.exp(5.3 * math.tanh(-0.4 / 5.3)))
        raw = 5.3 * math.atanh(math.log(0.8) / 5.3)
        features = torch.tensor([[0.3] * 6 + [raw] * 6], dtype=torch.float64)
        found = made.posterior(features).kl(stream(1))
    expected = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -25, 25, points=[0.3, 0.7], limit=200)[0]
    assert found.numpy() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("name", ["gaussian", "laplace", "gaussian+relu", "gaussian+exp"])
def test_the_prior_learns_from_the_divergence(family, name):
    made = family(name, True)
    made.posterior(torch.full((2, 12), 0.5, dtype=torch.float64)).kl(stream(1)).sum().backward()
    assert made.prior_loc.grad.abs().min() > 0
    assert made.prior_log_scale.grad.abs().min() > 0


@pytest.mark.parametrize("name", ["gaussian", "laplace", "gaussian+relu", "gaussian+exp"])
def test_at_its_initial_values_it_is_the_standard_one(family, name):
    features = torch.randn(5, 12, generator=stream(1), dtype=torch.float64)
    learned, fixed = (family(name, kind).posterior(features).kl(stream(1)) for kind in (True, False))
    assert torch.equal(learned, fixed)
    assert not dict(family(name, False).named_parameters())


def test_runs_without_one_have_the_ids_that_they_had(make_run):
    plain, fixed, learned = (
        make_run(family="gaussian", **options).run for options in ({}, *({"family_options__learned_prior": kind} for kind in (False, True)))
    )
    assert plain.id == fixed.id
    assert plain.id != learned.id
