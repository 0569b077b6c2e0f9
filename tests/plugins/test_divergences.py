"""Scales and divergences of Gaussian and Laplace posteriors against their plain formulas, with gradients."""

import latentbench_gaussian.divergence as gaussian
import latentbench_laplace.divergence as laplace
import pytest
import torch

from latentbench.streams import stream


def plain_gaussian(loc, log_scale):
    scale = log_scale.exp()
    return loc, scale, 0.5 * (loc.square() + scale.square() - 1) - log_scale


def plain_laplace(loc, log_scale):
    distance = loc.abs()
    return loc, log_scale.exp(), (log_scale - distance * (-log_scale).exp()).exp() + distance - log_scale - 1


BOTH = pytest.mark.parametrize(
    ("ours", "plain"), [(gaussian.scale_and_divergence, plain_gaussian), (laplace.scale_and_divergence, plain_laplace)], ids=["gaussian", "laplace"]
)


def inputs(dtype=torch.float64):
    loc = 3 * torch.randn(6, 8, generator=stream(1), dtype=torch.float64)
    log_scale = torch.linspace(-5.2, 5.2, 48, dtype=torch.float64).view(6, 8)
    return loc.to(dtype).requires_grad_(), log_scale.to(dtype).requires_grad_()


@BOTH
def test_values_and_gradients_are_those_of_the_plain_formulas(ours, plain):
    arguments, weights = inputs(), torch.randn(3, 6, 8, generator=stream(2), dtype=torch.float64)
    results = [function(*arguments) for function in (ours, plain)]
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(sum((r * w).sum() for r, w in zip(result, weights, strict=True)), arguments) for result in results]
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-11, atol=1e-12)


@BOTH
@pytest.mark.parametrize("which", [(0,), (1,), (2,), (0, 1, 2)])
def test_gradients_agree_with_finite_differences(ours, plain, which):
    """Also where only one of the results is differentiated."""
    assert torch.autograd.gradcheck(lambda *arguments: tuple(ours(*arguments)[i] for i in which), inputs())


@BOTH
def test_float32_is_as_near_to_float64_as_the_plain_formulas(ours, plain):
    exact = ours(*inputs())[2]
    error, published = (float((function(*inputs(torch.float32))[2] - exact).abs().div(1 + exact.abs()).max()) for function in (ours, plain))
    assert error < max(2 * published, 1e-6)


@BOTH
def test_the_divergence_of_the_prior_is_zero(ours, plain):
    zeros = torch.zeros(2, 3)
    assert torch.equal(ours(zeros, zeros)[2], zeros)
