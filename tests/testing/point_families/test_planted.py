"""Sparse coders that are wrong in one way each, and the check that finds it."""

import pytest
import torch
from latentbench_ista import Ista, IstaOptions

from latentbench.models.network import dictionary_of
from latentbench.models.objective import Loss
from latentbench.testing import Effort, examine

OPTIONS = IstaOptions(accelerated=True, iterations=300)


class TwiceTheWeight(Ista):
    def infer(self, images, dictionary):
        kept = self.l1.clone()
        self.l1.mul_(2)
        try:
            return super().infer(images, dictionary)
        finally:
            self.l1.copy_(kept)


class Half(Ista):
    def infer(self, images, dictionary):
        return 1.2 * super().infer(images, dictionary)


class WrongSign(Ista):
    def infer(self, images, dictionary):
        return -super().infer(images, dictionary)


class AlwaysPositive(Ista):
    def infer(self, images, dictionary):
        return super().infer(images, dictionary).clamp(min=0)


class OfTheBatch(Ista):
    def infer(self, images, dictionary):
        return super().infer(images, dictionary) * (1 - 1 / images.abs().max())


class RandomStart(Ista):
    def infer(self, images, dictionary):
        codes = super().infer(images, dictionary)
        return codes + 1e-3 * torch.rand_like(codes) * (codes > 0)


class MeanOverPixels(Ista):
    def loss(self, step):
        loss = super().loss(step)
        return Loss(loss.surrogate / step.images[0].numel(), loss.reported)


class FlippedSign(Ista):
    def loss(self, step):
        loss = super().loss(step)
        return Loss(-loss.surrogate, loss.reported)


class RowsOfUnitNorm(Ista):
    def constrain(self, decoder):
        dictionary, _ = dictionary_of(decoder)
        with torch.no_grad():
            dictionary /= torch.linalg.vector_norm(dictionary, dim=1, keepdim=True)


class PlainSchedule(Ista):
    plain = 0.0

    def begin_epoch(self, epoch, epochs):
        super().begin_epoch(epoch, epochs)
        self.plain = 0.01 * epoch

    def infer(self, images, dictionary):
        return super().infer(images, dictionary) + self.plain


class NoSchedule(Ista):
    def begin_epoch(self, epoch, epochs):
        pass


class Undeclared(Ista):
    def costs(self, *args):
        return {**super().costs(*args), "made_up": super().costs(*args)["penalty"]}


class MeanOfImages(Ista):
    def costs(self, *args):
        return {name: cost.mean(0, keepdim=True) for name, cost in super().costs(*args).items()}


class DoubleCodes(Ista):
    def infer(self, images, dictionary):
        return super().infer(images, dictionary).double()


class Divides(Ista):
    def infer(self, images, dictionary):
        norm = images.norm(dim=1, keepdim=True)
        return super().infer(images / norm, dictionary) * norm


PLANTED = {
    "optimum": [TwiceTheWeight, Half],
    "zero_code": [WrongSign],
    "non_negative": [AlwaysPositive, WrongSign],
    "rows": [OfTheBatch],
    "randomness": [RandomStart],
    "gradient": [MeanOverPixels, FlippedSign],
    "training": [FlippedSign],
    "constraint": [RowsOfUnitNorm],
    "state": [PlainSchedule],
    "schedule": [NoSchedule],
    "costs": [Undeclared, MeanOfImages],
    "shapes": [DoubleCodes],
    "extremes": [Divides],
}


@pytest.mark.parametrize(("check", "wrong"), [(check, wrong) for check, wrongs in PLANTED.items() for wrong in wrongs])
def test_a_planted_fault_is_found(check, wrong):
    options = OPTIONS.model_copy(update={"non_negative": wrong is not AlwaysPositive})
    (finding,) = examine(wrong, options, Effort(), only=[check]).findings
    assert finding.status == "failed"
    assert "it raised" not in finding.broken[0]


@pytest.mark.parametrize("non_negative", [True, False])
def test_a_correct_sparse_coder_passes_every_check(non_negative):
    report = examine(Ista, OPTIONS.model_copy(update={"non_negative": non_negative}))
    assert report.counts == {"passed": len(report.findings)}
