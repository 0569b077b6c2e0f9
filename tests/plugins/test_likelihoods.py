"""Likelihoods against torch.distributions."""

import math

import pytest
import torch
from latentbench_likelihoods import BernoulliLikelihood, GaussianLikelihood
from torch.distributions import Bernoulli, Normal

from latentbench.streams import stream
from latentbench.suites.resolve import InapplicableError

DECODED = torch.randn(3, 1, 4, 4, generator=stream(1), dtype=torch.float64)
IMAGES = torch.rand(3, 1, 4, 4, generator=stream(2), dtype=torch.float64)


def test_the_gaussian_has_variance_one_half():
    density = Normal(DECODED, math.sqrt(0.5)).log_prob(IMAGES).flatten(1).sum(1)
    assert torch.allclose(GaussianLikelihood().reconstruction(IMAGES, DECODED), -density - 8 * math.log(math.pi))


def test_the_bernoulli_takes_logits():
    binary = (IMAGES > 0.5).double()
    expected = -Bernoulli(logits=DECODED).log_prob(binary).flatten(1).sum(1)
    assert torch.allclose(BernoulliLikelihood().reconstruction(binary, DECODED), expected)
    assert torch.allclose(BernoulliLikelihood().mean(DECODED), DECODED.sigmoid())


def test_the_bernoulli_needs_binary_images(make_run):
    with pytest.raises(InapplicableError, match=r"needs binary images, and those of 'digits' are not"):
        make_run(likelihood="bernoulli")
    assert make_run(dataset="digits_binary").run.likelihood == "bernoulli"
