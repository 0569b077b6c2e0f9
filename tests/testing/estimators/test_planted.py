"""Estimators that are right by other papers pass every check; those that are wrong in one way are found by the check that names it."""

import pytest
import torch
from latentbench_estimators import Exact, MonteCarlo, StraightThrough
from latentbench_estimators.sampled import forward_of

from latentbench.api import Loss
from latentbench.testing import Effort, examine
from tests.testing.estimators.right import RIGHT, BatchOthers, Reinforce, Rloo, Running, SamplesOptions


class FlippedScore(Rloo):
    def signal(self, step, cost):
        return -super().signal(step, cost)


class OwnSampleInItsBaseline(Rloo):
    def signal(self, step, cost):
        return cost - cost.mean(0)


class OwnImageInItsBaseline(BatchOthers):
    def signal(self, step, cost):
        return cost - cost.mean(1, keepdim=True)


class MeanOverPixels(Rloo):
    def costs(self, step, z):
        cost, kl = super().costs(step, z)
        return cost / step.images[0].numel(), kl


class KlForgotten(MonteCarlo):
    def loss(self, step):
        found = super().loss(step)
        return Loss(found.surrogate - step.beta * step.kl().mean(), found.reported)


class BetaTwice(MonteCarlo):
    def loss(self, step):
        found = super().loss(step)
        return Loss(found.surrogate + (step.beta**2 - step.beta) * step.kl().mean(), found.reported)


class BetaInTheReport(MonteCarlo):
    def loss(self, step):
        found = super().loss(step)
        return Loss(found.surrogate, {**found.reported, "kl": step.beta * found.reported["kl"]})


class DecoderDetached(Reinforce):
    def loss(self, step):
        z = step.sample()
        cost, kl = step.reconstruction(z).detach(), step.kl()
        return Loss((cost * step.log_q(z) + step.beta * kl).mean(), {"reconstruction": cost, "kl": kl.detach()})


class SumOverImages(Rloo):
    def loss(self, step):
        found = super().loss(step)
        return Loss(found.surrogate * len(step.images), found.reported)


class GlobalNoise(MonteCarlo):
    def sample(self, step):
        posterior = step.posterior
        return step.rsample() + 1e-3 * posterior.variance.sqrt() * torch.randn_like(posterior.mean)


class PlainAttribute(Running):
    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.average = self._buffers.pop("average")


class DrawnAtFirst(Rloo):
    """Its weights are in no state_dict."""

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.drawn = torch.rand(())

    def signal(self, step, cost):
        return super().signal(step, cost) + self.drawn


class ImagesMixedUp(Rloo):
    """The samples of one image are scored with the posterior of another."""

    def loss(self, step):
        z = step.sample(self.samples)
        cost, kl = self.costs(step, z)
        score = self.signal(step, cost.detach()).reshape(-1, self.samples).T * step.log_q(z)
        return Loss(((cost + score).mean(0) + step.beta * kl).mean(), {"reconstruction": cost.mean(0).detach(), "kl": kl.detach()})


class HardForwardUndeclared(MonteCarlo):
    def sample(self, step):
        return forward_of(step.sample(), step.posterior.mean) if hasattr(step.posterior, "logits") else step.rsample()


class SingleImageFails(BatchOthers):
    def signal(self, step, cost):
        return cost - (cost.sum(1, keepdim=True) - cost) / (cost.shape[1] - 1)


class Averaged(MonteCarlo):
    def loss(self, step):
        found = super().loss(step)
        return Loss(found.surrogate, {name: cost.mean() for name, cost in found.reported.items()})


class Attached(MonteCarlo):
    def loss(self, step):
        found = super().loss(step)
        return Loss(found.surrogate, {**found.reported, "kl": step.kl()})


class VarianceForgotten(Exact):
    def loss(self, step):
        cost, kl = step.reconstruction(step.posterior.mean), step.kl()
        return Loss((cost + step.beta * kl).mean(), {"reconstruction": cost.detach(), "kl": kl.detach()})


PLANTED = [
    (FlippedScore, "gradient"),
    (FlippedScore, "discrete_gradient"),
    (OwnSampleInItsBaseline, "gradient"),
    (OwnSampleInItsBaseline, "discrete_gradient"),
    (OwnImageInItsBaseline, "small_batches"),
    (MeanOverPixels, "gradient"),
    (MeanOverPixels, "reported"),
    (KlForgotten, "gradient"),
    (BetaTwice, "gradient"),
    (BetaInTheReport, "reported"),
    (DecoderDetached, "gradient"),
    (SumOverImages, "gradient"),
    (GlobalNoise, "randomness"),
    (PlainAttribute, "state"),
    (DrawnAtFirst, "state"),
    (ImagesMixedUp, "gradient"),
    (HardForwardUndeclared, "discrete_gradient"),
    (SingleImageFails, "small_batches"),
    (Averaged, "shapes"),
    (Attached, "shapes"),
    (VarianceForgotten, "gradient"),
    (VarianceForgotten, "reported"),
]


@pytest.mark.parametrize(("wrong", "check"), PLANTED, ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_a_wrong_estimator_is_found_by_the_check_that_names_its_fault(wrong, check):
    report = examine(wrong, wrong.options_model(), only=[check])
    assert report.findings[0].status == "failed", report.text()


@pytest.mark.parametrize("right", [Rloo, Running])
def test_a_right_estimator_passes_at_a_fifth_of_the_samples(right):
    report = examine(right, SamplesOptions(), Effort(samples=20_000))
    assert report.ok, report.text()


@pytest.mark.slow
@pytest.mark.parametrize("right", RIGHT, ids=lambda part: part.__name__)
def test_a_right_estimator_passes_every_check(right):
    report = examine(right)
    assert report.ok, report.text()


def test_a_biased_estimator_that_declares_it_is_a_known_deviation():
    declared = type("Declared", (StraightThrough,), {"deviations": {"discrete_gradient": "it differentiates the mean"}})
    assert [finding.status for finding in examine(declared, only=["discrete_gradient"]).findings] == ["known deviation"]


def test_a_vimco_is_told_to_have_another_loss():
    vimco = RIGHT[-1]
    assert examine(vimco, SamplesOptions(), only=["discrete_gradient"]).findings[0].status == "known deviation"


@pytest.mark.parametrize(("base", "status"), [(StraightThrough, "failed"), (Rloo, "passed")])
def test_an_estimator_for_one_hots_alone_is_held_against_all_their_codes(base, status):
    """The kit's one-hots are for estimators that apply to nothing else of it."""
    reason = classmethod(lambda cls, assembly, options: None if assembly.family.one_hot else "it is for one-hots")
    part = type("OneHotOnly", (base,), {"inapplicable": reason, "deviations": {}})
    found = examine(part, part.options_model(), Effort(samples=20_000), only=["shapes", "discrete_gradient"]).findings
    assert [finding.status for finding in found] == ["passed", status]
