"""Categorical latents against enumeration."""

import itertools
import math

import pytest
import torch
from latentbench_categorical import CategoricalPosterior
from scipy import stats

from latentbench.streams import stream
from latentbench.suites.resolve import InapplicableError

LOGITS = torch.tensor([[[0.2, -1.0, 0.5], [2.0, 0.1, -0.3]]], dtype=torch.float64)  # [B = 1, G = 2, 3]


def outcomes(posterior):
    """Every one-hot code with its probability."""
    for choice in itertools.product(range(3), repeat=2):
        z = torch.zeros(2, 3, dtype=torch.float64)
        z[0, choice[0]] = z[1, choice[1]] = 1
        yield z.flatten()[None], float(posterior.p[0, 0, choice[0]] * posterior.p[0, 1, choice[1]])


def test_probabilities_sum_to_one_and_give_the_kl():
    q = CategoricalPosterior(LOGITS)
    total = sum(math.exp(float(q.log_prob(z).sum())) for z, _ in outcomes(q))
    kl = sum(p * (float(q.log_prob(z).sum()) + 2 * math.log(3)) for z, p in outcomes(q))
    assert total == pytest.approx(1)
    assert float(q.kl(stream(0)).sum()) == pytest.approx(kl)


def test_the_decoded_variance_has_the_full_covariance():
    q = CategoricalPosterior(LOGITS)
    dictionary = torch.randn(5, 6, dtype=torch.float64, generator=stream(1))
    brute = sum(p * float(((z - q.mean) @ dictionary.T).square().sum()) for z, p in outcomes(q))
    assert float(q.decoded_variance(dictionary)) == pytest.approx(brute)
    diagonal = float(q.variance @ dictionary.square().sum(0))
    assert abs(diagonal - brute) > 0.1


def test_samples_have_the_probabilities():
    """Chi-square; true samples fail with probability 1e-6."""
    n = 30_000
    z = CategoricalPosterior(LOGITS.expand(n, -1, -1)).sample(stream(2)).view(n, 2, 3)
    assert (z.sum(-1) == 1).all()
    for group in range(2):
        assert stats.chisquare(z[:, group].sum(0).numpy(), n * LOGITS[0, group].softmax(0).numpy()).pvalue > 1e-6


def test_groups_must_divide_the_latent_dimensions(make_run):
    with pytest.raises(InapplicableError, match=r"latent_dim 6 cannot be divided into 4 groups"):
        make_run(family="categorical", family_options__groups=4)
    assert make_run(family="categorical", family_options__groups=3).run.family_options == {"groups": 3}
