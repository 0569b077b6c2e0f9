"""Likelihoods that are wrong in one way are found by the check that names the fault; correct ones, built in or not, pass every check."""

import math

import pytest
import torch
from latentbench_likelihoods import BernoulliLikelihood, GaussianLikelihood, NegativeBinomialLikelihood, PoissonLikelihood
from latentbench_likelihoods.real import GaussianOptions
from torch import nn
from torch.distributions import Beta
from torch.nn.functional import softplus

from latentbench.api import Likelihood
from latentbench.testing import examine

GLOBAL = GaussianOptions(variance="global")


class BetaLikelihood(Likelihood):
    """Beta in each pixel, for numbers in [0, 1], limited to what the precision tells from the ends."""

    name = "beta"

    @classmethod
    def numbers(cls, options):
        return 2

    @classmethod
    def inapplicable(cls, assembly, options):
        return None if assembly.dataset.pixels == "unit" else "it is for numbers in [0, 1]"

    def distribution(self, decoded):
        a, b = (softplus(part) + 0.5 for part in decoded.chunk(2, dim=1))
        return Beta(a, b, validate_args=False)

    def reconstruction(self, images, decoded):
        tiny = 1e-7 if images.dtype == torch.float32 else 1e-15
        return -self.distribution(decoded).log_prob(images.clamp(tiny, 1 - tiny)).flatten(1).sum(1)

    def mean(self, decoded):
        return self.distribution(decoded).mean


def derived(base, **changes):
    return type(f"Wrong{base.__name__}", (base,), changes)


def scaled(base, factor):
    """The cost times a factor of the images and of what is decoded."""
    return derived(base, reconstruction=lambda self, x, y: base.reconstruction(self, x, y) * factor(x))


class WithoutNormaliser(PoissonLikelihood):
    def reconstruction(self, images, decoded):
        return (softplus(decoded) - images * softplus(decoded).log()).flatten(1).sum(1)


class ScaleInTheConstant(GaussianLikelihood):
    """The learned scale's logarithm is left out of the cost."""

    def reconstruction(self, images, decoded):
        return super().reconstruction(images, decoded) - self.log_scale * images[0].numel()


class NoFiniteLogarithm(BernoulliLikelihood):
    def reconstruction(self, images, decoded):
        p = decoded.sigmoid()
        return -(images * p.log() + (1 - images) * (1 - p).log()).flatten(1).sum(1)


class PlainScale(GaussianLikelihood):
    """Its scale is in no state_dict."""

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.drawn = torch.rand(()) * 0 + nn.init.normal_(torch.empty(())).item() ** 2

    def reconstruction(self, images, decoded):
        return super().reconstruction(images, decoded) * self.drawn


class OtherLogProb(GaussianLikelihood):
    def log_prob(self, images, decoded):
        return -self.reconstruction(images, decoded)


PLANTED = [
    (scaled(GaussianLikelihood, lambda x: 1 / x[0].numel()), None, "normalised"),
    (scaled(GaussianLikelihood, lambda x: 1 / x[0].numel()), None, "per_image"),
    (scaled(BernoulliLikelihood, lambda x: 1 / x[0].numel()), None, "per_image"),
    (scaled(GaussianLikelihood, lambda x: 0.5), None, "quadratic"),
    (scaled(GaussianLikelihood, lambda x: 0.5), None, "normalised"),
    (derived(PoissonLikelihood, reconstruction=lambda self, x, y: PoissonLikelihood.reconstruction(self, x, y).mean()), None, "per_image"),
    (
        derived(PoissonLikelihood, reconstruction=lambda self, x, y: PoissonLikelihood.reconstruction(self, x, y).mean().expand(len(x))),
        None,
        "per_image",
    ),
    (derived(PoissonLikelihood, mean=lambda self, y: y.exp()), None, "mean"),
    (derived(BernoulliLikelihood, mean=lambda self, y: y), None, "mean"),
    (derived(NegativeBinomialLikelihood, mean=lambda self, y: softplus(y) * self.log_size.exp()), None, "mean"),
    (WithoutNormaliser, None, "normalised"),
    (ScaleInTheConstant, GLOBAL, "normalised"),
    (OtherLogProb, None, "constant"),
    (OtherLogProb, None, "normalised"),
    (NoFiniteLogarithm, None, "extremes"),
    (PlainScale, None, "state"),
    (derived(GaussianLikelihood, is_quadratic=classmethod(lambda cls, options: True)), GLOBAL, "quadratic"),
    (derived(GaussianLikelihood, is_quadratic=classmethod(lambda cls, options: False)), None, "quadratic"),
    (derived(GaussianLikelihood, reconstruction=lambda self, x, y: GaussianLikelihood.reconstruction(self, x, y.detach())), None, "gradient"),
    (derived(GaussianLikelihood, noise_variance=lambda self: torch.tensor(0.5).sqrt()), None, "noise_variance"),
    (derived(GaussianLikelihood, noise_variance=lambda self: (2 * self.log_scale).exp() + 0.1), GLOBAL, "noise_variance"),
    (derived(GaussianLikelihood, max_log_prob=lambda self: torch.tensor(-self.constant - 0.1)), None, "max_log_prob"),
    (derived(BernoulliLikelihood, numbers=classmethod(lambda cls, options: 2)), None, "shapes"),
    (derived(PoissonLikelihood, mean=lambda self, y: softplus(y).double()), None, "shapes"),
]


@pytest.mark.parametrize(
    ("wrong", "options", "check"), PLANTED, ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", "")
)
def test_a_wrong_likelihood_is_found_by_the_check_that_names_its_fault(wrong, options, check):
    report = examine(wrong, options or wrong.options_model(), only=[check])
    assert report.findings[0].status == "failed", report.text()


def test_a_right_likelihood_of_numbers_in_an_interval_passes_every_check():
    report = examine(BetaLikelihood)
    assert report.ok, report.text()


def test_a_density_off_by_a_hundred_thousandth_is_found():
    """The quadrature is that sharp."""
    shifted = derived(GaussianLikelihood, log_prob=lambda self, x, y: GaussianLikelihood.log_prob(self, x, y) + math.log1p(1e-5))
    assert examine(shifted, GaussianOptions(), only=["normalised"]).findings[0].status == "failed"
