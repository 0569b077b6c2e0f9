"""Rates and their parts against closed forms, and code lengths against entropies."""

import math

import numpy as np
import pytest
import torch
from latentbench_evaluations.chosen import noise
from latentbench_evaluations.rate_distortion import code_lengths, information
from latentbench_gaussian import GaussianPosterior
from scipy import stats
from torch.distributions import Normal, Poisson, kl_divergence

from latentbench.evaluation.trained import Trained
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import assemble


@pytest.fixture
def measured(make_run, registry):
    def measure(images=300, **changes):
        run = make_run(**changes).run
        assembly = assemble(run, registry)
        model = build_model(assembly, run.seed, "cpu", torch.float32).eval()
        part = registry.evaluation("rate_distortion")
        trained = Trained(model, assembly.dataset.load(cache_folder()), run.seed)
        found = part(part.options_model(images=images)).evaluate(trained, stream(1))
        return {(m.name, m.index): m for m in found.metrics}, found, trained

    return measure


def gaussian_channel(n, noise):
    """Posteriors N(m, noise) with m standard normal, whose mutual information is ln(1 + 1 / noise) / 2."""
    m = torch.randn(n, 1, generator=stream(1), dtype=torch.float64)
    q = GaussianPosterior(m, torch.full_like(m, 0.5 * math.log(noise)))
    return q, q.sample(stream(2))


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_bounds_of_a_gaussian_channel_bracket_its_information(noise):
    lower, upper = information(*gaussian_channel(2000, noise))
    exact, six_sigma = 0.5 * math.log(1 + 1 / noise), 6 * float(lower.std()) / 2000**0.5
    assert float(lower.mean()) == pytest.approx(exact, abs=six_sigma)
    assert float(upper.mean()) == pytest.approx(exact, abs=six_sigma + 0.01)
    assert float(lower.mean()) < float(upper.mean())


def test_the_lower_bound_is_at_most_the_logarithm_of_the_number_of_images():
    """Here the information is 6.9 nats, and ln 50 is 3.9; the upper bound is above it."""
    lower, upper = information(*gaussian_channel(50, 1e-6))
    assert (lower <= math.log(50) + 1e-9).all()
    assert float(upper.mean()) > 6.9


def test_posteriors_that_are_the_prior_inform_of_nothing():
    zeros = torch.zeros(100, 3, dtype=torch.float64)
    q = GaussianPosterior(zeros, zeros)
    lower, upper = information(q, q.sample(stream(1)))
    assert lower.abs().max() < 1e-12
    assert upper.abs().max() < 1e-12


def test_chunks_change_nothing(monkeypatch):
    from latentbench_evaluations import rate_distortion

    q, z = gaussian_channel(100, 0.5)
    whole = information(q, z)
    monkeypatch.setattr(rate_distortion, "CHUNK", 700)
    assert all(torch.allclose(part, other, rtol=1e-12) for part, other in zip(information(q, z), whole, strict=True))


@pytest.mark.parametrize("family", ["gaussian", "poisson", "categorical"])
def test_the_rate_is_the_divergence_in_bits_and_splits_into_both_parts(measured, family):
    metrics, found, trained = measured(images=None, family=family)
    kl = float(trained.codes("validation").kl.double().sum(1).mean())
    assert metrics["rate_bits", None].value == pytest.approx(kl / math.log(2), rel=1e-5)
    parts = metrics["mutual_information_bits", None].value + metrics["aggregate_kl_bits", None].value
    assert metrics["rate_bits", None].value == pytest.approx(parts, rel=1e-9)
    assert {image.name for image in found.images} == {name for name, _ in metrics}


ITERATIVE = {"encoder": None, "estimator": None, "family_options__evaluation_steps": 20}


@pytest.mark.parametrize("family", ["iterative_gaussian", "iterative_poisson"])
def test_the_rate_of_iterative_inference_is_the_divergence_from_the_first_prior(measured, family):
    """Their own KL is a mean over steps, which is less than the information that codes have."""
    metrics, _, trained = measured(images=None, family=family, **ITERATIVE)
    images = trained.splits["validation"].images
    with torch.no_grad():
        codes = trained.model.encode(images, noise(stream(1), torch.device("cpu"))).last, trained.model.family.prior(len(images))
    q, p = (
        Poisson(code.mean.double()) if family == "iterative_poisson" else Normal(code.mean.double(), code.variance.double().sqrt()) for code in codes
    )
    expected = float(kl_divergence(q, p).sum(1).mean().detach()) / math.log(2)
    assert metrics["rate_bits", None].value == pytest.approx(expected, rel=1e-4)
    assert metrics["aggregate_kl_bits", None].value > 0


def test_a_divergence_without_closed_form_is_estimated(measured, monkeypatch):
    from latentbench_iterative.gaussian import IterativeGaussian

    exact = measured(images=None, family="iterative_gaussian", **ITERATIVE)[0]["rate_bits", None]
    monkeypatch.setattr(IterativeGaussian, "divergence", lambda self, posterior, prior: None)
    estimated = measured(images=None, family="iterative_gaussian", **ITERATIVE)[0]["rate_bits", None]
    assert estimated.value != exact.value
    assert estimated.value == pytest.approx(exact.value, abs=6 * estimated.standard_error)


def test_the_distortion_is_that_of_a_decoded_sample(measured):
    metrics, _, trained = measured(images=None, family="gaussian")
    codes, images = trained.codes("validation"), trained.splits["validation"].images
    other = (images - trained.decode(codes.sample)).square().flatten(1).sum(1)
    assert metrics["distortion", None].value == pytest.approx(float(other.mean()), abs=6 * float(other.std()) * (2 / len(other)) ** 0.5)


def test_sparse_coders_have_code_lengths_that_fall_with_wider_bins(measured):
    metrics, _, _ = measured(family="lasso", encoder=None, estimator=None, dataset="photo_patches", family_options__l1_weight=0.5)
    lengths = [metrics["code_length_bits", width].value for width in (0.05, 0.2, 1.0)]
    errors = [metrics["code_distortion", width].value for width in (0.05, 0.2, 1.0)]
    assert lengths == sorted(lengths, reverse=True)
    assert errors == sorted(errors)
    assert ("rate_bits", None) not in metrics


def test_code_lengths_are_entropies_with_the_miller_madow_term():
    symbols = torch.poisson(torch.tensor([0.5, 3.0]).expand(500, 2), generator=stream(1))
    columns = [np.unique(column, return_counts=True)[1] for column in symbols.numpy().T]
    expected = sum(stats.entropy(counts, base=2) + (len(counts) - 1) / (2 * 500 * math.log(2)) for counts in columns)
    assert float(code_lengths(symbols).mean()) == pytest.approx(expected, rel=1e-9)
