"""What an estimator returns: its shapes and types, and the costs that it reports."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from latentbench.models.family import AmortisedFamily
from latentbench.models.objective import Loss
from latentbench.testing.estimators import draws
from latentbench.testing.estimators.expected import expected
from latentbench.testing.estimators.gradients import likeliest, means
from latentbench.testing.estimators.subject import TEMPERATURE, Case, EstimatorSubject
from latentbench.testing.law import Effort, Trial, check, holds

COSTS = ("reconstruction", "kl")


@check(
    "the surrogate is a scalar that depends on the parameters, reported `reconstruction` and `kl` are [B], detached; all in the precision of the "
    "parameters, and finite",
    "costs that are averaged before they are reported, a missing `detach`, a constant in float64",
)
def shapes(subject: EstimatorSubject, effort: Effort) -> Iterator[Trial]:
    """Batches of three and of two images in float32 and float64."""
    for case in subject.cases:
        for dtype in (torch.float32, torch.float64):
            for rows in (3, 2):
                yield from _fits(f"{case.title}, {rows} images, {dtype}: ".replace("torch.", ""), _loss(case, dtype, rows), dtype, rows)


def _loss(case: Case, dtype: torch.dtype, rows: int) -> Loss:
    model = case.built(dtype)
    assert isinstance(model.family, AmortisedFamily)
    features = case.features[:rows].to(dtype).requires_grad_()
    return model.loss(case.step(model, case.images[:rows].to(dtype), features, case.stream("shapes")))


def _fits(where: str, loss: Loss, dtype: torch.dtype, rows: int) -> Iterator[Trial]:
    surrogate = loss.surrogate
    yield holds(f"{where}surrogate {_described(surrogate)}", surrogate.shape == () and surrogate.requires_grad and _sound(surrogate, dtype))
    yield holds(f"{where}reported are {sorted(loss.reported)}", set(loss.reported) >= set(COSTS))
    for name, cost in loss.reported.items():
        yield holds(f"{where}{name} {_described(cost)}", cost.shape == (rows,) and not cost.requires_grad and _sound(cost, dtype))


def _sound(value: Tensor, dtype: torch.dtype) -> bool:
    return value.dtype == dtype and bool(value.isfinite().all())


def _described(value: Tensor) -> str:
    attached = "differentiable" if value.requires_grad else "detached"
    return f"{list(value.shape)}, {attached}, {str(value.dtype).removeprefix('torch.')}, {int((~value.isfinite()).sum())} not finite"


@check(
    "the mean of the reported reconstruction is E_q[-ln p(x | z)] less its constant, that of the reported kl is KL(q || p), of each image; for an "
    "estimator that reads the temperature, the reconstruction may be that of samples relaxed at it",
    "a mean over pixels for a sum, a KL with its weight, costs of another sample or of another image",
    by_chance=True,
)
def reported(subject: EstimatorSubject, effort: Effort) -> Iterator[Trial]:
    """Continuous and discrete latents, linear and bent decoders."""
    for case in subject.cases:
        yield from likeliest(_costs(case, False), *([_costs(case, True)] if case.tempered else []))


def _costs(case: Case, relaxed: bool) -> list[Trial]:
    """The comparisons with the expected costs."""
    found, goal = draws.large(case), expected(case, relaxed)
    of = f"{case.title}, " + (f"at T = {TEMPERATURE:g}, " if relaxed else "")
    trials = list(means(f"{of}reconstruction of image ", found.reconstruction, goal.reconstruction, case.effort))
    return trials + list(means(f"{of}kl of image ", found.kl, goal.kl, case.effort))
