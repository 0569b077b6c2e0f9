"""A sparse coder gives the same codes again: alone and in a batch, whatever the global random states, and from what was stored; and it trains."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from latentbench.models.model import Model
from latentbench.models.sparse_coding import SparseCodingOptions
from latentbench.testing import bench
from latentbench.testing.ambient import undisturbed
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds
from latentbench.testing.point_families.subject import PointSubject, assembly

STEPS, BATCH, LEARNING_RATE = 50, 100, 0.01
ITERATIONS = 300
"""Iterations of inference in training: as good a code as a falling cost needs."""


@check(
    "the code of an image depends on the image alone, not on others of the batch",
    "a norm, a maximum or a step length of the whole batch",
)
def rows(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """Codes of single images, and of the batch."""
    if subject.ends_early:
        raise InapplicableError("inference of a batch ends where all its codes change by less than a tolerance")
    for i in (0, len(subject.images) - 1):
        alone = subject.encoded(subject.model, subject.images[i : i + 1]).mean
        differs = float((alone - subject.code.mean[i : i + 1]).abs().max())
        yield holds(f"image {i}: differs by {differs:.2g}", differs <= 1e-8 * max(1.0, float(alone.abs().max())))


@check(
    "the same images have the same codes, whatever the global states of torch, numpy and random are, and these are left as they are",
    "codes that start from random numbers, or order of coordinates drawn at random",
)
def randomness(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """Inference and initial values, twice each."""
    (first, kept), (second, _) = (undisturbed(lambda: subject.encoded(subject.model, subject.images).mean, seed) for seed in (1, 2))
    yield holds(f"codes differ by {float((first - second).abs().max()):.2g}", torch.equal(first, second))
    yield holds("global random states are left as they are", kept)
    one, other = (undisturbed(lambda: _state(subject.built()), seed)[0] for seed in (1, 2))
    yield holds("initial values depend on the run's seed alone", torch.equal(one, other))


@check(
    "a sparse coder is its state_dict: another instance with the same state infers the same codes and has the same costs",
    "what an epoch has changed in a plain attribute, or a tensor that is neither a parameter nor a buffer",
)
def state(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """A model that has seen epochs, and a new one of another seed that takes its state over."""
    used, restored = subject.built(seed=1), subject.built(seed=2)
    for epoch in range(12):
        used.family.begin_epoch(epoch, 12)
    used.family.observe(subject.encoded(used, subject.images))
    restored.load_state_dict(used.state_dict())
    (one, cost), (other, restored_cost) = (_told(model, subject) for model in (used, restored))
    yield holds(f"codes of the restored model differ by {float((one - other).abs().max()):.2g}", torch.equal(one, other))
    yield holds(f"costs of the restored model differ by {float((cost - restored_cost).abs().max()):.2g}", torch.equal(cost, restored_cost))


@check(
    f"the cost of a small dictionary falls in {STEPS} steps of training, and stays finite",
    "a gradient of the wrong sign or of another cost, or a constraint that undoes the step",
)
def training(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """Adam on the kit's images; the cost is that of all images before and after."""
    model = _quick(subject).built(torch.float32).requires_grad_(True)
    images = bench.images(subject.assembly, effort, torch.float32)
    optimizer = torch.optim.Adam([parameter for parameter in model.parameters() if parameter.requires_grad], LEARNING_RATE)
    model.family.begin_epoch(0, 1)
    before = _cost(model, images, subject)
    for step in range(STEPS):
        batch = images.roll(step * BATCH, 0)[:BATCH]
        code = subject.encoded(model, batch)
        model.family.observe(code)
        optimizer.zero_grad()
        model.loss(subject.step(model, batch, code)).surrogate.backward()
        optimizer.step()
        model.family.constrain(model.decoder)
    after = _cost(model, images, subject)
    yield holds(f"{before:.4g} before, {after:.4g} after", after < before)


def _quick(subject: PointSubject) -> PointSubject:
    """The same with `ITERATIONS` iterations at most."""
    options = subject.options
    if isinstance(options, SparseCodingOptions) and options.iterations > ITERATIONS:
        options = options.model_copy(update={"iterations": ITERATIONS})
    return PointSubject(subject.part, options, subject.effort, assembly(subject.part, options))


def _cost(model: Model, images: Tensor, subject: PointSubject) -> float:
    with torch.no_grad():
        code = subject.encoded(model, images)
        return float(subject.costs(model, images, code, code.mean)[subject.part.cost].mean())


def _told(model: Model, subject: PointSubject) -> tuple[Tensor, Tensor]:
    code = subject.encoded(model, subject.images)
    return code.mean, subject.costs(model, subject.images, code, code.mean)[subject.part.cost]


def _state(model: Model) -> Tensor:
    """All initial values as one vector."""
    return torch.cat([value.double().flatten().cpu() for value in model.state_dict().values()])
