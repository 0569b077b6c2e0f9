"""Laplace latents against quadrature."""

import pytest
import torch
from latentbench_laplace import LaplacePosterior
from scipy import integrate, stats

from latentbench.streams import stream


@pytest.mark.parametrize(("loc", "scale"), [(0.3, 0.5), (-2.0, 1.7), (0.0, 1.0)])
def test_the_kl_is_that_to_the_standard_laplace(loc, scale):
    q = stats.laplace(loc, scale)
    kinks = sorted({loc, 0.0})
    quadrature = integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - stats.laplace.logpdf(x)), loc - 40, loc + 40, points=kinks, limit=200)[0]
    posterior = LaplacePosterior(torch.tensor([[loc]], dtype=torch.float64), torch.tensor([[scale]], dtype=torch.float64).log())
    assert float(posterior.kl(stream(0))) == pytest.approx(quadrature, abs=1e-8)
    assert float(posterior.log_prob(torch.tensor([[0.9]]))) == pytest.approx(q.logpdf(0.9), rel=1e-6)


def test_samples_are_laplace():
    """Kolmogorov-Smirnov; true samples fail with probability 1e-6."""
    zeros = torch.zeros(1, 50_000, dtype=torch.float64)
    z = LaplacePosterior(zeros, zeros).sample(stream(1))
    assert stats.kstest(z[0].numpy(), stats.laplace.cdf).pvalue > 1e-6


def test_no_sample_is_infinite_where_the_uniform_generator_returns_zero(monkeypatch):
    zeros = torch.zeros(1, 3, requires_grad=True)
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))
    z = LaplacePosterior(zeros, zeros).rsample(1.0, stream(1))
    z.sum().backward()
    assert torch.isfinite(z).all()
    assert torch.isfinite(zeros.grad).all()
