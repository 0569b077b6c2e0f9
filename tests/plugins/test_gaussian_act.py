"""Moments of the rectified normal and the log-normal against quadrature, where textbook forms break down."""

import math

import pytest
import torch
from latentbench_gaussian import GaussianPosterior
from latentbench_gaussian_act import ExpPosterior, ReluPosterior
from scipy import integrate, stats


def relu(loc, scale, dtype):
    return ReluPosterior(GaussianPosterior(torch.tensor([[loc]], dtype=dtype), torch.tensor([[scale]], dtype=dtype).log()))


def quadrature(loc, scale):
    """Mean and variance of max(x, 0): over the part above 0, and the point mass at 0."""
    density = stats.norm(loc, scale).pdf
    low, high = 0.0, max(loc, 0) + 12 * scale
    points = [p for p in (loc,) if low < p < high]
    mean = integrate.quad(lambda x: x * density(x), low, high, points=points, epsabs=0, epsrel=1e-12)[0]
    above = integrate.quad(lambda x: (x - mean) ** 2 * density(x), low, high, points=points, epsabs=0, epsrel=1e-12)[0]
    return mean, above + mean**2 * stats.norm.cdf(0, loc, scale)


CASES = [(-6.0, 1.0), (-3.0, 0.5), (-0.4, 1.0), (0.0, 2.0), (0.8, 0.3), (3.0, 1.0), (20.0, 1.0)]


@pytest.mark.parametrize(("loc", "scale"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-4), (torch.float64, 1e-9)])
def test_moments_of_the_rectified_normal(loc, scale, dtype, tolerance):
    posterior, (mean, variance) = relu(loc, scale, dtype), quadrature(loc, scale)
    assert float(posterior.mean) == pytest.approx(mean, rel=tolerance)
    assert float(posterior.variance) == pytest.approx(variance, rel=tolerance)


def test_the_variance_is_never_negative_in_float32():
    loc = torch.linspace(-40, 40, 8001)[None]
    posterior = ReluPosterior(GaussianPosterior(loc.requires_grad_(), torch.zeros_like(loc)))
    assert (posterior.variance >= 0).all()
    (gradient,) = torch.autograd.grad(posterior.variance.sum(), loc)
    assert torch.isfinite(gradient).all()


def test_gradients_at_zero_are_those_on_both_sides():
    """d mean / d loc = Phi(0) = 1/2; d variance / d loc = 2 E z (1 - Phi(0)) = phi(0) at scale 1."""
    loc = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
    posterior = ReluPosterior(GaussianPosterior(loc, torch.zeros(1, 1, dtype=torch.float64)))
    assert float(torch.autograd.grad(posterior.mean.sum(), loc, retain_graph=True)[0]) == pytest.approx(0.5)
    assert float(torch.autograd.grad(posterior.variance.sum(), loc)[0]) == pytest.approx(stats.norm.pdf(0))


def test_the_rectified_normal_has_mass_one():
    posterior = relu(-0.3, 0.8, torch.float64)
    at_zero = math.exp(float(posterior.log_prob(torch.zeros(1, 1))))
    above = integrate.quad(lambda x: math.exp(float(posterior.log_prob(torch.tensor([[x]])))), 1e-12, 10)[0]
    assert at_zero + above == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize(("loc", "scale"), [(-1.0, 0.3), (0.5, 1.0), (1.0, 0.05)])
def test_the_log_normal(loc, scale):
    posterior = ExpPosterior(GaussianPosterior(torch.tensor([[loc]], dtype=torch.float64), torch.tensor([[scale]], dtype=torch.float64).log()))
    reference = stats.lognorm(scale, scale=math.exp(loc))
    assert float(posterior.mean) == pytest.approx(reference.mean(), rel=1e-12)
    assert float(posterior.variance) == pytest.approx(reference.var(), rel=1e-10)
    assert float(posterior.log_prob(torch.tensor([[0.7]], dtype=torch.float64))) == pytest.approx(reference.logpdf(0.7), rel=1e-12)


def test_the_log_normal_s_variance_overflows_where_its_docstring_says():
    inside, outside = (ExpPosterior(GaussianPosterior(torch.zeros(1, 1), torch.full((1, 1), math.log(s)))) for s in (6.6, 6.7))
    assert torch.isfinite(inside.variance).all()
    assert torch.isinf(outside.variance).all()


def test_the_location_is_before_the_activation():
    posterior = relu(-2.0, 1.0, torch.float32)
    assert float(posterior.location) == -2.0
    assert float(posterior.mean) > 0
