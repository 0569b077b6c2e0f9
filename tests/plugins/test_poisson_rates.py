"""`encoded_rates` against the authors' formulas, written plainly."""

import numpy as np
import pytest
import torch
from latentbench_poisson.rates import NO_RESIDUAL, SMALLEST_RATE, encoded_rates
from torch.nn.functional import softplus

from latentbench.streams import stream


def plain(features, log_r, limit):
    """The published code's formulas, term by term."""
    u = 10 - softplus(10 - features)
    rate = (limit - softplus(limit - (log_r + u))).exp() + SMALLEST_RATE
    return rate, log_r.exp() * (u * u.exp() - torch.expm1(u))


def inputs(dtype=torch.float64):
    features = torch.cat([torch.linspace(-12, 16, 24, dtype=torch.float64), torch.randn(24, generator=stream(1), dtype=torch.float64)]).view(8, 6)
    log_r = torch.tensor([-6.0, -4.0, -2.0, 0.0, 3.0, 5.0], dtype=torch.float64)
    return features.to(dtype).requires_grad_(), log_r.to(dtype).requires_grad_()


def gradients(function, features, log_r, weights):
    return torch.autograd.grad(
        [(result * weight).sum() for result, weight in zip(function(features, log_r, 5.3), weights, strict=True)], (features, log_r)
    )


def test_values_and_gradients_are_those_of_the_plain_formulas():
    features, log_r = inputs()
    for one, other in zip(encoded_rates(features, log_r, 5.3), plain(features, log_r, 5.3), strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)  # torch's softplus is linear from 20 on, which is 2e-9
    weights = torch.randn(2, 8, 6, generator=stream(2), dtype=torch.float64)
    for one, other in zip(gradients(encoded_rates, features, log_r, weights), gradients(plain, features, log_r, weights), strict=True):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-12)


def test_float32_is_as_near_to_float64_as_the_plain_formulas():
    exact, weights = inputs(), torch.randn(2, 8, 6, generator=stream(3))
    reference = gradients(encoded_rates, *exact, weights.double())
    single = inputs(torch.float32)
    for ours, theirs, true in zip(gradients(encoded_rates, *single, weights), gradients(plain, *single, weights), reference, strict=True):
        error, published = ((x.double() - true).abs().max() / true.abs().max() for x in (ours, theirs))
        assert error < max(2 * published, 1e-6)


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_gradients_agree_with_finite_differences(which):
    """Also where only one of the results is differentiated."""
    assert torch.autograd.gradcheck(lambda x, log_r: tuple(encoded_rates(x, log_r, 5.3)[i] for i in which), inputs())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_features_are_finite_and_have_their_limits(dtype):
    """The soft limits hold for x from -100 to 1e4."""
    features = torch.tensor([[-100.0, -90.0, -50.0, 12.0, 50.0, 1e4]], dtype=dtype, requires_grad=True)
    log_r = torch.full((6,), -4.0, dtype=dtype, requires_grad=True)
    rate, kl = encoded_rates(features, log_r, 5.3)
    (rate + kl).sum().backward()
    assert all(torch.isfinite(x).all() for x in (rate, kl, features.grad, log_r.grad))
    largest = np.exp(5.3) / (1 + np.exp(5.3 + 4 - 10))  # t / (1 + t e^-c) at t = e^(10 - 4)
    assert rate[0, -1].item() == pytest.approx(largest, rel=1e-5)
    assert rate[0, 0].item() == pytest.approx(SMALLEST_RATE, rel=1e-5)
    assert kl[0, 0].item() == pytest.approx(np.exp(-4.0), rel=1e-5)  # f(0) = 1
    assert kl[0, -1].item() == pytest.approx(np.exp(-4.0) * (1 + 9 * np.exp(10.0)), rel=1e-5)
    assert features.grad[0, [0, -1]].abs().max() < 1e-12


def test_the_kl_does_not_cancel_near_the_prior():
    """In float32, held against its series u^2 / 2 + u^3 / 3 at the u of the rounded rate."""
    features = torch.tensor([[1e-3, -1e-3, 1e-2]]) + NO_RESIDUAL
    rate, kl = encoded_rates(features, torch.zeros(3), 60.0)  # so high a limit leaves the rate at e^u
    u = (rate.double() - SMALLEST_RATE).log()
    assert kl.double().numpy() == pytest.approx((u**2 / 2 + u**3 / 3).numpy(), rel=2e-3)


def test_a_second_derivative_is_refused():
    features, log_r = inputs()
    (slope,) = torch.autograd.grad(encoded_rates(features, log_r, 5.3)[0].sum(), features, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        slope.sum().backward()
