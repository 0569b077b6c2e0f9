"""One-hots and their Gumbel-softmax relaxation, against probabilities, the Concrete density and the pathwise derivative."""

import math

import pytest
import torch
from scipy import integrate, stats

from latentbench.blocks.relaxed_categorical import gumbel_noise, relaxed_and_hard_categorical, relaxed_categorical, sample_categorical
from latentbench.streams import stream

LOGITS = torch.tensor([0.2, -1.0, 0.5, 2.0], dtype=torch.float64)
N = 40_000


def test_one_hots_have_the_probabilities_at_any_temperature():
    """Chi-square; true samples fail with probability 1e-6. The hard samples are those of the relaxed ones' noise."""
    expected = N * LOGITS.softmax(0).numpy()
    many = LOGITS.expand(N, -1)
    relaxed, hard = relaxed_and_hard_categorical(many, 0.7, stream(1))
    for z in (hard, sample_categorical(many, stream(2))):
        assert (z.sum(-1) == 1).all()
        assert stats.chisquare(z.sum(0).numpy(), expected).pvalue > 1e-6
    assert torch.equal(relaxed.argmax(-1), hard.argmax(-1))


def test_two_relaxed_categories_have_the_concrete_density():
    """z_1 = sigmoid((ln p_1 / p_0 + L) / T) with L logistic, so P(z_1 <= z) = F(T logit z - ln p_1 / p_0); fails with probability 1e-6."""
    z = relaxed_categorical(torch.tensor([0.0, 0.8], dtype=torch.float64).expand(N, -1), 0.6, stream(3))[:, 1]
    assert stats.kstest(z.numpy(), lambda x: stats.logistic.cdf(0.6 * (math.log(1) + torch.logit(torch.as_tensor(x)).numpy()) - 0.8)).pvalue > 1e-6


def test_the_mean_of_the_relaxation_is_biased_as_the_density_says():
    """E z_1 by quadrature over the logistic noise differs from p_1, and the samples agree with it within five standard errors."""
    z = relaxed_categorical(torch.tensor([0.0, 0.8], dtype=torch.float64).expand(N, -1), 1.0, stream(4))[:, 1]
    expected = integrate.quad(lambda noise: stats.logistic.cdf(0.8 + noise) * stats.logistic.pdf(noise), -40, 40)[0]
    assert abs(float(z.mean()) - expected) < 5 * float(z.std()) / N**0.5
    assert abs(expected - stats.logistic.cdf(0.8)) > 0.05


def test_it_tends_to_the_one_hot_of_its_noise():
    relaxed, hard = relaxed_and_hard_categorical(LOGITS.expand(N, -1), 1e-3, stream(5))
    assert float((relaxed - hard).abs().sum(-1).mean()) < 0.01


@pytest.mark.parametrize("shape", [(3,), (2, 3), (0, 3), (2, 4, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_dtypes_and_gradients(shape, dtype):
    logits = torch.zeros(shape, dtype=dtype, requires_grad=True)
    relaxed, hard = relaxed_and_hard_categorical(logits, 0.5, stream(6))
    assert relaxed.shape == hard.shape == torch.Size(shape)
    assert relaxed.dtype == hard.dtype == dtype
    assert not hard.requires_grad
    assert not sample_categorical(logits, stream(6)).requires_grad


def test_gradients_agree_with_finite_differences_at_common_noise():
    assert torch.autograd.gradcheck(lambda logits: relaxed_categorical(logits, 0.4, stream(7)), (LOGITS.clone().requires_grad_(),))


def test_a_constant_in_the_logits_changes_nothing():
    one, other = (relaxed_categorical(LOGITS + by, 0.4, stream(8)) for by in (0, 5))
    assert torch.allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize(("dtype", "low", "high"), [(torch.float32, -4.5, 16.7), (torch.float64, -6.6, 36.8)])
def test_nothing_is_infinite_at_the_ends_of_the_uniform_generator(monkeypatch, dtype, low, high):
    logits = torch.zeros(3, dtype=dtype, requires_grad=True)
    for u in (0.0, 1 - torch.finfo(dtype).eps / 2):
        monkeypatch.setattr(torch, "rand", lambda shape, u=u, **_: torch.full(shape, u, dtype=dtype))
        assert low < float(gumbel_noise(logits, stream(1)).detach()[0]) < high
        z = relaxed_categorical(logits, 0.1, stream(1))
        z.sum().backward()
        assert torch.isfinite(z).all()
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="positive temperature"):
        relaxed_categorical(LOGITS, temperature, stream(1))
