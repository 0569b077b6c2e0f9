"""Gradients through relaxed counts against the exact one of a linear decoder, whose expected loss is |x - Phi r|^2 + sum_k r_k |phi_k|^2.

As in "A hitchhiker's guide" (arXiv 2602.03896): the gradient in ln r of E |x - Phi z|^2, with z ~ Pois(r), is r (2 Phi' (Phi r - x) + |phi|^2).
Relaxed counts are independent, with the mean a r and the variance b r that Campbell's theorem gives, so the gradient of the relaxed loss is
r (2 a Phi' (a Phi r - x) + b |phi|^2), and its bias is known without a sample.
"""

import math

import pytest
import torch

from latentbench.blocks.arrivals import arrivals_needed
from latentbench.blocks.relaxed_poisson import UNLIMITED, relaxed_poisson
from latentbench.blocks.smoothing import relaxed_moments
from latentbench.streams import stream
from tests.blocks import relaxations

DRAWS = 40_000
UNITS = 6


def problem():
    """x [M], Phi [M, K] and rates [K]."""
    generator = stream(1, "toy")
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64) for scale, shape in ((2.0, (8,)), (0.4, (8, UNITS))))


def gradient(mean=1.0, variance=1.0, rate=3.0):
    """The exact gradient for counts with these moments over the rate: those of true counts, or of relaxed ones."""
    x, phi = problem()
    r = torch.full((UNITS,), rate, dtype=torch.float64)
    return r * (2 * mean * phi.T @ (mean * phi @ r - x) + variance * phi.square().sum(0))


def bias(name, temperature, rate):
    """The relative bias of the gradient, exactly."""
    return float((gradient(*relaxed_moments(name, temperature), rate) - gradient(rate=rate)).norm() / gradient(rate=rate).norm())


def sampled(name, temperature, rate, n_exp=UNLIMITED):
    """The mean gradient of draws, and its standard error."""
    x, phi = problem()
    log_r = torch.full((DRAWS, UNITS), math.log(rate), dtype=torch.float64, requires_grad=True)
    z = relaxed_poisson(log_r.exp(), temperature, n_exp, stream(2, name), name)
    (found,) = torch.autograd.grad((x - z @ phi.T).square().sum(), log_r)
    return found.mean(0), found.std(0) / DRAWS**0.5


@pytest.mark.parametrize("temperature", [0.2, 1.0])
@pytest.mark.parametrize("name", relaxations.INDICATORS)
def test_the_mean_gradient_is_that_of_the_relaxed_loss(name, temperature):
    """Within five standard errors in each of 6 components; 60 comparisons in all fail by chance with probability 4e-5."""
    mean, error = sampled(name, temperature, 3.0)
    assert ((mean - gradient(*relaxed_moments(name, temperature))).abs() < 5 * error).all()


def test_the_bias_of_the_gumbel_softmax_is_that_of_its_width():
    """To first order: within T^2 of the gradient's norm and five standard errors."""
    mean, error = sampled("gumbel_softmax", 0.2, 3.0, 20)
    expected = gradient(*relaxed_moments("gumbel_softmax", 0.2))
    assert float((mean - expected).norm()) < 0.2**2 * float(gradient().norm()) + 5 * float(error.norm())


@pytest.mark.parametrize("rate", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("name", relaxations.INDICATORS)
def test_the_bias_falls_with_the_temperature(name, rate):
    biases = [bias(name, temperature, rate) for temperature in (1.0, 0.5, 0.2, 0.1, 0.02)]
    assert biases == sorted(biases, reverse=True)
    assert biases[-1] < biases[0] / 20


@pytest.mark.parametrize("rate", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("temperature", [0.02, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("name", relaxations.RAMPS)
def test_a_ramp_has_less_bias_than_a_sigmoid_at_the_same_temperature(name, temperature, rate):
    assert bias(name, temperature, rate) < bias("sigmoid", temperature, rate)


def test_cut_off_at_a_high_rate_the_sigmoid_s_bias_is_that_of_the_cut():
    """At rate 100, T = .2 and the tail 1e-3, by draws; the bias with all arrivals is exact."""
    exact = gradient(rate=100.0)
    mean, error = sampled("sigmoid", 0.2, 100.0, arrivals_needed(100.0, 1e-3))
    cut = float((mean - exact).norm() - 5 * error.norm()) / float(exact.norm())
    assert cut > 5 * bias("sigmoid", 0.2, 100.0)
