"""Locations and log-scales of features against the plain formula, with gradients."""

import torch

from latentbench.models.location_scale import LOG_SCALE_LIMIT, location_and_log_scale
from latentbench.streams import stream


def plain(features):
    loc, raw = features.chunk(2, dim=1)
    return loc, LOG_SCALE_LIMIT * torch.tanh(raw / LOG_SCALE_LIMIT)


def features():
    return (8 * torch.randn(5, 6, generator=stream(1), dtype=torch.float64)).requires_grad_()


def test_values_and_gradients_are_those_of_the_plain_formula():
    x, weights = features(), torch.randn(2, 5, 3, generator=stream(2), dtype=torch.float64)
    results = [function(x) for function in (location_and_log_scale, plain)]
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(sum((r * w).sum() for r, w in zip(result, weights, strict=True)), x)[0] for result in results]
    assert torch.allclose(*gradients, rtol=1e-11, atol=1e-13)


def test_gradients_agree_with_finite_differences():
    assert torch.autograd.gradcheck(location_and_log_scale, (features(),))


def test_extreme_features_have_the_limits():
    x = torch.tensor([[1e4, -1e4, 1e4, -1e4]], requires_grad=True)
    loc, log_scale = location_and_log_scale(x)
    (loc + log_scale).sum().backward()
    assert loc.tolist() == [[1e4, -1e4]]
    assert torch.allclose(log_scale, torch.tensor([[LOG_SCALE_LIMIT, -LOG_SCALE_LIMIT]]))
    assert x.grad.tolist() == [[1.0, 1.0, 0.0, 0.0]]
