"""Iterative families that are wrong in one way each, and the check that finds it."""

import pytest
import torch
from latentbench_testkit import IterativeOfGaussians
from torch.distributions import Normal

from latentbench.api import TorchPosterior
from latentbench.models.iterative import Iterate, IterativeOptions
from latentbench.testing import examine

OPTIONS = IterativeOptions(steps=6, evaluation_steps=12)


class Detached(IterativeOfGaussians):
    def update(self, prior, x, gradient, inference):
        return super().update(prior, x, gradient.detach(), inference)


class Forgetful(IterativeOfGaussians):
    """The path is cut between two steps."""

    def draw(self, posterior, inference):
        return super().draw(posterior, inference).detach()


class Uphill(IterativeOfGaussians):
    def update(self, prior, x, gradient, inference):
        return super().update(prior, x, -gradient, inference)


class ToTheFirstPrior(IterativeOfGaussians):
    """The divergence of every step is that to q_0."""

    def posterior(self, loc, before):
        return super().posterior(loc, self.origin.expand_as(before))


class TwiceTheDivergence(IterativeOfGaussians):
    def infer(self, images, inference):
        for iterate in super().infer(images, inference):
            iterate.posterior.kl = lambda generator, kl=iterate.posterior.kl: 2 * kl(generator)
            yield iterate


class ScaleForVariance(IterativeOfGaussians):
    def posterior(self, loc, before):
        class Wrong(TorchPosterior):
            @property
            def variance(self):
                return super().variance.sqrt()

        return Wrong(*(Normal(mean, self.log_scale.exp(), validate_args=False) for mean in (loc, before)))


class GlobalNoise(IterativeOfGaussians):
    def draw(self, posterior, inference):
        return super().draw(posterior, inference) + 0.01 * torch.randn(())


class OneStepMore(IterativeOfGaussians):
    def infer(self, images, inference):
        yield from super().infer(images, inference)
        yield from super().infer(images[:0].expand_as(images[:0]), inference)


class SummedCost(IterativeOfGaussians):
    def infer(self, images, inference):
        for iterate in super().infer(images, inference):
            yield Iterate(iterate.posterior, iterate.reconstruction.sum(), iterate.kl)


class PlainAttribute(IterativeOfGaussians):
    shift = 0.0

    def begin_epoch(self, epoch, epochs):
        self.shift = 0.1 * epoch

    def update(self, prior, x, gradient, inference):
        return super().update(prior, x, gradient + self.shift, inference)


class Undeclared(IterativeOfGaussians):
    def costs(self, *args):
        return {**super().costs(*args), "made_up": super().costs(*args)["path_kl"]}


class DoubleScale(IterativeOfGaussians):
    def posterior(self, loc, before):
        return TorchPosterior(*(Normal(mean.double(), self.log_scale.exp().double(), validate_args=False) for mean in (loc, before)))


PLANTED = {
    "through_steps": [Detached, Forgetful],
    "descent": [Uphill],
    "divergence": [ToTheFirstPrior, TwiceTheDivergence],
    "moments": [ScaleForVariance],
    "randomness": [GlobalNoise],
    "shapes": [OneStepMore, SummedCost],
    "state": [PlainAttribute],
    "costs": [Undeclared],
    "dtypes": [DoubleScale],
}


@pytest.mark.parametrize(("check", "wrong"), [(check, wrong) for check, wrongs in PLANTED.items() for wrong in wrongs])
def test_a_planted_fault_is_found(check, wrong):
    (finding,) = examine(wrong, OPTIONS, only=[check]).findings
    assert finding.status == "failed"


def test_a_correct_iterative_family_passes_every_check():
    report = examine(IterativeOfGaussians, OPTIONS)
    assert report.counts == {"passed": len(report.findings)}
