"""`latentbench-negbinomial` against scipy: distribution, moments, KL and its gradient; and the package where it is installed."""

import numpy as np
import pytest
import torch
from latentbench_negbinomial import NegativeBinomial, NegativeBinomialFamily, NegativeBinomialOptions, NegativeBinomialPosterior, divergence
from scipy import stats

from latentbench.streams import stream

N = 40_000
CASES = [(0.05, 0.3), (1.0, 0.2), (2.5, 1.0), (9.0, 15.0)]
"""Means and sizes."""


def distribution(mean, size, batch=None):
    log_mean, log_size = (torch.tensor([np.log(x)], dtype=torch.float64) for x in (mean, size))
    return NegativeBinomial(log_mean if batch is None else log_mean.expand(batch, 1), log_size)


def by_scipy(mean, size):
    return stats.nbinom(size, size / (size + mean))


def kl_by_sum(q, p):
    z = np.arange(int(q.ppf(1 - 1e-14)) + 50)
    return float(np.sum(q.pmf(z) * (q.logpmf(z) - p.logpmf(z))))


@pytest.mark.parametrize(("mean", "size"), CASES)
def test_log_probabilities_and_moments_are_scipy_s(mean, size):
    q, reference, z = distribution(mean, size), by_scipy(mean, size), np.arange(60)
    assert q.log_prob(torch.tensor(z, dtype=torch.float64)).numpy() == pytest.approx(reference.logpmf(z), rel=1e-9)
    posterior = NegativeBinomialPosterior(q, q)
    assert (float(posterior.mean), float(posterior.variance)) == pytest.approx(reference.stats(), rel=1e-12)


@pytest.mark.parametrize(("mean", "size"), CASES)
def test_samples_and_hard_counts_have_the_probabilities(mean, size):
    """Chi-square; true samples fail with probability 1e-6."""
    q, reference = distribution(mean, size, N), by_scipy(mean, size)
    posterior = NegativeBinomialPosterior(q, q)
    relaxed, hard = posterior.relaxed_and_hard(0.01, stream(1, str(mean)))
    for z in (posterior.sample(stream(2, str(mean))), hard):
        cells = np.arange(int(reference.ppf(0.999)) + 1)
        counts = np.bincount(z.long().flatten().numpy().clip(0, len(cells)), minlength=len(cells) + 1)
        expected = np.append(reference.pmf(cells), reference.sf(cells[-1])) * N
        assert stats.chisquare(counts, expected).pvalue > 1e-6
    assert float((relaxed - hard).abs().mean()) < 0.02 * max(mean, 0.1)


@pytest.mark.parametrize(("mean", "size"), CASES)
def test_the_gradient_through_cold_samples_is_that_of_the_mean(mean, size):
    """d E z / d ln m = m and d E z / d ln r = 0, within five standard errors; at T = .05 the relaxation's bias is 1e-10."""
    log_mean, log_size = (torch.full((N, 1), float(np.log(x)), dtype=torch.float64, requires_grad=True) for x in (mean, size))
    q = NegativeBinomial(log_mean, log_size)
    slopes = torch.autograd.grad(NegativeBinomialPosterior(q, q).rsample(0.05, stream(3, str(mean))).sum(), (log_mean, log_size))
    for slope, expected in zip(slopes, (mean, 0.0), strict=True):
        assert abs(float(slope.mean()) - expected) < 5 * float(slope.std()) / N**0.5 + 1e-6


@pytest.mark.parametrize(("mean", "size"), CASES)
def test_the_kl_of_one_size_is_exact(mean, size):
    q = distribution(mean, size)
    p = NegativeBinomial(torch.tensor([0.2], dtype=torch.float64), q.log_size)
    found = divergence(q, p, torch.zeros(1, dtype=torch.float64))
    assert float(found) == pytest.approx(kl_by_sum(by_scipy(mean, size), by_scipy(np.exp(0.2), size)), rel=1e-8)
    m, n, r = mean, np.exp(0.2), size
    assert float(found) == pytest.approx(m * np.log(m / n) - (m + r) * np.log((m + r) / (n + r)), rel=1e-9)


@pytest.mark.parametrize(("mean", "size"), CASES)
def test_the_estimated_kl_is_unbiased_in_value_and_gradient(mean, size):
    """Against summation, its gradient against central differences of it; within five standard errors."""
    log_mean, log_size = (torch.full((N, 1), float(np.log(x)), dtype=torch.float64, requires_grad=True) for x in (mean, size))
    p = distribution(0.7, 2.0)
    kl = NegativeBinomialPosterior(NegativeBinomial(log_mean, log_size), p).kl(stream(4, str(mean)))
    values = [kl.detach(), *torch.autograd.grad(kl.sum(), (log_mean, log_size))]
    reference = lambda u, v: kl_by_sum(by_scipy(mean * np.exp(u), size * np.exp(v)), by_scipy(0.7, 2.0))  # noqa: E731
    step = 1e-4
    expected = [reference(0, 0), *((reference(*(step * e)) - reference(*(-step * e))) / (2 * step) for e in np.eye(2))]
    for value, right in zip(values, expected, strict=True):
        assert abs(float(value.mean()) - right) < 5 * float(value.std()) / N**0.5


@pytest.mark.parametrize(("dispersion", "features"), [("shared", 6), ("learned", 12)])
def test_the_kl_is_zero_at_the_prior_and_estimated_where_the_option_says(make_run, dispersion, features):
    family = NegativeBinomialFamily(make_run(latent_dim=6).assembly, NegativeBinomialOptions(dispersion=dispersion))
    assert (family.features, family.estimated_kl) == (features, dispersion == "learned")
    assert not family.posterior(torch.zeros(4, features)).kl(stream(5)).any()
    assert not family.prior(4).kl(stream(6)).any()


@pytest.mark.parametrize("scale", [-60.0, 60.0])
@pytest.mark.parametrize("dispersion", ["shared", "learned"])
def test_extreme_features_are_finite(make_run, dispersion, scale):
    family = NegativeBinomialFamily(make_run(latent_dim=6).assembly, NegativeBinomialOptions(dispersion=dispersion))
    features = torch.full((50, family.features), scale, requires_grad=True)
    q = family.posterior(features)
    (q.rsample(0.05, stream(7)).sum() + q.kl(stream(8)).sum()).backward()
    assert torch.isfinite(features.grad).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in family.parameters())


@pytest.mark.slow
def test_the_package_runs_beside_a_built_in(installed, leaderboard):
    board = leaderboard(installed("negbinomial"))
    rows = [line.split()[:2] for line in board.splitlines() if line.startswith(("negbinomial ", "poisson "))]
    assert sorted(row[0] for row in rows) == ["negbinomial", "negbinomial", "poisson"]
    assert {row[1] for row in rows} >= {"shared", "learned"}
