"""Log-probabilities and divergences of one-hots against torch's own, with gradients."""

import math

import pytest
import torch
from latentbench_categorical.divergence import log_probabilities_and_divergence

from latentbench.streams import stream


def plain(logits):
    log_p = logits.log_softmax(-1)
    return log_p, (log_p.exp() * log_p).sum(-1) + math.log(logits.shape[-1])


def logits(dtype=torch.float64):
    return (4 * torch.randn(5, 2, 7, generator=stream(1), dtype=torch.float64)).to(dtype).requires_grad_()


def test_values_and_gradients_are_those_of_the_plain_formulas():
    x, weights = (
        logits(),
        (torch.randn(5, 2, 7, generator=stream(2), dtype=torch.float64), torch.randn(5, 2, generator=stream(3), dtype=torch.float64)),
    )
    results = [function(x) for function in (log_probabilities_and_divergence, plain)]
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(sum((r * w).sum() for r, w in zip(result, weights, strict=True)), x)[0] for result in results]
    assert torch.allclose(*gradients, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_gradients_agree_with_finite_differences(which):
    """Also where only one of the results is differentiated."""
    assert torch.autograd.gradcheck(lambda x: tuple(log_probabilities_and_divergence(x)[i] for i in which), (logits(),))


def test_improbable_categories_are_finite():
    x = torch.tensor([[[0.0, -200.0, 30.0]]], requires_grad=True)
    log_p, kl = log_probabilities_and_divergence(x)
    (log_p.sum() + kl.sum()).backward()
    assert all(torch.isfinite(value).all() for value in (log_p, kl, x.grad))
    assert kl.item() == pytest.approx(math.log(3), rel=1e-6)
