"""An iterative family trains through all its steps, and its steps of inference lead somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from statistics import median

import torch
from torch import Tensor
from torch.nn import Parameter

from latentbench.models.model import Model
from latentbench.testing.iterative_families.subject import ROWS, STEPS, IterativeSubject
from latentbench.testing.law import Effort, Trial, check, holds

H = 1e-6
TRIES = 4
"""Streams of noise: a sampler that draws as many numbers as it needs makes the loss jump where that number changes."""


@check(
    f"the loss is differentiated through all steps of inference, to the decoder and to every parameter of the family, in one of {TRIES} tries",
    "a posterior, a draw or a gradient that is detached between two steps",
)
def through_steps(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """The gradient along a random direction in each parameter, against central differences with the same noise."""
    model = subject.built()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            direction = effort.uniform(-1, 1, *parameter.shape, name=name)
            for number in range(TRIES):
                stated, difference = _slopes(subject, model, parameter, direction, number)
                agree = abs(stated - difference) <= 1e-4 * max(abs(difference), 1e-2)
                if agree:
                    break
            yield holds(f"{name}: {stated:.6g}, by differences {difference:.6g}", agree)


def _slopes(subject: IterativeSubject, model: Model, parameter: Parameter, direction: Tensor, number: int) -> tuple[float, float]:
    """The slope of the loss along a direction in a parameter, as it is differentiated and by differences, with the noise of that number."""
    images, values = subject.images[:ROWS], []
    (gradient,) = torch.autograd.grad(subject.surrogate(model, images, number), [parameter], allow_unused=True)
    for shift in (H, -2 * H, H):
        with torch.no_grad():
            parameter.add_(shift * direction)
        values.append(float(subject.surrogate(model, images, number).detach()))
    return 0.0 if gradient is None else float((gradient * direction).sum()), (values[0] - values[1]) / (2 * H)


@check(
    f"the free energy of a small linear model falls in {STEPS} steps of training, and stays finite",
    "a gradient of the wrong sign, or initial values from which inference diverges",
)
def training(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """Adam on the kit's images; medians of the first and of the last ten steps, as inference of discrete codes may burst in some."""
    _, losses = subject.trained
    before, after = median(losses[:10]), median(losses[-10:])
    yield holds(f"{before:.4g} in the first ten steps, {after:.4g} in the last ten", after < before and isfinite(sum(losses)))


@check(
    "inference lowers the reconstruction cost: after the last step of an evaluation it is less than after the first, for most images",
    "an update along the wrong sign of the gradient, or one that is lost",
)
def descent(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """A trained model on all images, a mean over the last quarter of the steps."""
    model, _ = subject.trained
    costs = subject.encoded(model, subject.images.float()).reconstruction  # [T, B]
    last = costs[-max(1, len(costs) // 4) :].mean(0)
    share = float((last < costs[0]).float().mean())
    yield holds(f"{100 * share:.0f} % of images cost less after the last step than after the first", len(costs) == 1 or share > 0.5)
