"""Gaussian latents against quadrature."""

import pytest
import torch
from latentbench_gaussian import GaussianPosterior
from scipy import integrate, stats


@pytest.mark.parametrize(("loc", "scale"), [(0.3, 0.5), (-2.0, 1.7), (0.0, 1.0)])
def test_the_kl_is_that_to_the_standard_normal(loc, scale):
    q = stats.norm(loc, scale)
    quadrature = integrate.quad(lambda x: q.pdf(x) * (q.logpdf(x) - stats.norm.logpdf(x)), loc - 30 * scale, loc + 30 * scale, points=[loc])[0]
    posterior = GaussianPosterior(torch.tensor([[loc]], dtype=torch.float64), torch.tensor([[scale]], dtype=torch.float64).log())
    assert float(posterior.kl(torch.Generator())) == pytest.approx(quadrature, abs=1e-8)
    assert float(posterior.log_prob(torch.tensor([[0.9]]))) == pytest.approx(q.logpdf(0.9), rel=1e-6)
