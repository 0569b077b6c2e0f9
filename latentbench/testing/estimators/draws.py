"""Losses and gradients of many training steps of an estimator, without training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

from latentbench.testing.estimators.expected import Gradient, gradient
from latentbench.testing.estimators.subject import ROWS, Case

STEPS = 50
"""Steps whose means are compared: what a baseline makes dependent within a batch is independent between steps, but for a running one."""


@lru_cache(maxsize=64)
def large(case: Case) -> Gradient:
    """Means over the draws of each of 50 steps [50, ...], on batches in which every row is repeated; kept, as several laws ask for them."""
    times = max(2, case.effort.samples // STEPS // ROWS)
    return stacked([_step(case, times, ROWS, "large", i) for i in range(STEPS)])


def small(case: Case, steps: int, rows: int) -> Gradient:
    """Single steps [steps, ...] on batches of the first `rows` rows; 50 of them, where these are all the same."""
    found = [_step(case, 1, rows, "small", i) for i in range(STEPS)]
    if any(not torch.equal(step.features, found[0].features) for step in found):
        found += [_step(case, 1, rows, "small", i) for i in range(STEPS, steps)]
    return stacked(found)


def variance(case: Case) -> float:
    """The variance of one image's gradient in its features, summed over these and averaged over rows."""
    return float(large(case).features.var(0).sum(-1).mean()) * max(2, case.effort.samples // STEPS // ROWS)


def _step(case: Case, times: int, rows: int, *names: str | int) -> Gradient:
    """One step on a batch that has the first `rows` rows `times` times; costs and features' gradients are means over the repetitions."""
    images, features = case.images[:rows].repeat(times, 1, 1, 1), case.features[:rows].repeat(times, 1).requires_grad_()
    loss = case.model.loss(case.step(case.model, images, features, case.stream(*names)))
    reported = [loss.reported[name].detach() for name in ("reconstruction", "kl")]
    found = gradient(loss.surrogate, features, case.model, *reported)
    by_row = [value.reshape(times, rows, *value.shape[1:]).mean(0) for value in (found.reconstruction, found.kl, found.features)]
    reconstruction, kl, of_features = by_row
    return Gradient(reconstruction, kl, of_features, found.decoder, found.prior)


def stacked(steps: Sequence[Gradient]) -> Gradient:
    """The steps side by side in a first dimension."""
    fields = ("reconstruction", "kl", "features", "decoder", "prior")
    return Gradient(*(torch.stack([getattr(step, name) for step in steps]) for name in fields))
