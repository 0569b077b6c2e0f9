"""How a sparse coder trains its dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch

from latentbench.models.family import PointFamily
from latentbench.models.network import dictionary_of
from latentbench.models.sparse_coding import L1Options, L1Schedule, SparseCoder
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds
from latentbench.testing.point_families.subject import PointSubject, assembly


@check(
    "the gradient of `loss` in the dictionary is that of the mean over images of the family's cost, at codes that are kept fixed",
    "a sign, a mean over pixels for a sum, the squared error for its half, or a code or an image that is detached with the dictionary",
)
def gradient(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """Along five random directions, against central differences of the cost."""
    model = subject.built().requires_grad_(True)
    dictionary, _ = dictionary_of(model.decoder)
    code = subject.encoded(model, subject.images)
    loss = model.loss(subject.step(model, subject.images, code))
    yield holds(f"the surrogate has the shape {list(loss.surrogate.shape)}, expected a scalar", loss.surrogate.ndim == 0)
    for name, reported in loss.reported.items():
        yield holds(f"{name} is reported as {list(reported.shape)}, expected one number an image", reported.shape == (len(subject.images),))
        yield holds(f"{name} is reported without gradient", not reported.requires_grad)
    (found,) = torch.autograd.grad(loss.surrogate, dictionary)

    def cost(shift: torch.Tensor) -> float:
        with torch.no_grad():
            dictionary.add_(shift)
            value = float(subject.costs(model, subject.images, code, code.mean)[subject.part.cost].mean())
            dictionary.sub_(shift)
        return value

    for i in range(5):
        direction = effort.uniform(-1, 1, *dictionary.shape, name=f"direction {i}")
        stated, difference = float((found * direction).sum()), (cost(1e-5 * direction) - cost(-1e-5 * direction)) / 2e-5
        close = abs(stated - difference) <= 1e-5 * max(abs(difference), float(found.abs().max()), 1e-3)
        yield holds(f"{stated:.6g} along direction {i}, by differences {difference:.6g}", close)


@check(
    "`constrain` gives columns of unit norm where the family is a `SparseCoder`; for every family, doing it twice is doing it once",
    "a norm over the wrong dimension, or a decoder that is not changed in place",
)
def constraint(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """A dictionary whose columns have norms from 1 to 3, and one with a column of zeros."""
    model = subject.built()
    dictionary, _ = dictionary_of(model.decoder)
    dictionary *= torch.linspace(1, 3, dictionary.shape[1], dtype=dictionary.dtype)
    model.family.constrain(model.decoder)
    once = dictionary_of(model.decoder)[0].clone()
    model.family.constrain(model.decoder)
    changed = float((dictionary_of(model.decoder)[0] - once).abs().max())
    yield holds(f"a second time it changes the dictionary by {changed:.2g}", changed < 1e-9)
    if isinstance(model.family, SparseCoder):
        norms = torch.linalg.vector_norm(once, dim=0)
        yield holds(f"columns have norms from {float(norms.min()):.6g} to {float(norms.max()):.6g}", (norms - 1).abs().max() < 1e-9)
        dictionary_of(model.decoder)[0][:, 0] = 0.0
        model.family.constrain(model.decoder)
        yield holds("a column of zeros stays finite", dictionary_of(model.decoder)[0].isfinite().all())


@check(
    "lambda follows its schedule epoch by epoch, and is kept in a buffer: codes have the penalty lambda |z|_1 of their epoch",
    "a schedule that is kept in a plain attribute, or read at the start alone",
)
def schedule(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """A schedule of three values, two epochs each."""
    if not (issubclass(subject.part, SparseCoder) and isinstance(subject.options, L1Options)):
        raise InapplicableError("it has no schedule of lambda")
    options = type(subject.options).model_validate({**subject.options.model_dump(), "l1_weight": "0.05:0.45:0.2", "l1_every": 2.0})
    stated = L1Schedule.parse("0.05:0.45:0.2")
    scheduled = PointSubject(subject.part, options, effort, assembly(subject.part, options))
    model, fresh = scheduled.model, scheduled.built()
    for epoch in (0, 1, 2, 5, 9):
        model.family.begin_epoch(epoch, 10)
        fresh.family.load_state_dict(model.family.state_dict())
        for what, one in (("", model), (" after a resume", fresh)):
            expected = stated.at(epoch // 2)
            found = _penalty(scheduled, one.family)
            yield holds(f"lambda in epoch {epoch}{what}: {found:.6g}, expected {expected:.6g}", abs(found - expected) < 1e-6)


def _penalty(subject: PointSubject, family: object) -> float:
    """The weight that the costs of a code of ones show."""
    own = cast("PointFamily", family)
    z = torch.ones_like(subject.code.mean)
    found = own.costs(subject.images, subject.code, z, subject.model.decoder(z), subject.model.likelihood, None)
    return float(found["penalty"][0]) / z.shape[1]
