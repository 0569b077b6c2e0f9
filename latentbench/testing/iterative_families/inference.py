"""The posteriors of an iterative family's steps have the moments and the divergence that they state."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import cast

import torch

from latentbench.models.codes import Posterior
from latentbench.models.iterative import IterativeFamily
from latentbench.testing.chance import means_are
from latentbench.testing.iterative_families.subject import IterativeSubject
from latentbench.testing.law import Effort, Trial, check

TRIED = 3
"""Steps of inference whose posteriors are sampled."""


def _path(subject: IterativeSubject, effort: Effort) -> list[Posterior]:
    """q_0, q_1, ... of copies of one image, each with noise of its own [N, K]."""
    model = subject.built()
    images = subject.images[:1].expand(effort.samples, *subject.images.shape[1:])
    with torch.no_grad():
        first = cast("IterativeFamily", model.family).prior(effort.samples)
        return [first, *(iterate.posterior for iterate in islice(subject.iterates(model, images, False), TRIED))]


@check(
    "samples of every step's posterior have its mean and variance: E[z - mean] = 0 and E[(z - mean)^2] = variance",
    "a scale for a variance, moments of the step before, or moments before an activation that samples have passed",
    by_chance=True,
)
def moments(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """One sample each of many copies of an image."""
    path = _path(subject, effort)
    for t, q in enumerate(path):
        with torch.no_grad():
            off = q.sample(subject.stream("moments", t)) - q.mean
            yield from means_are(f"mean of step {t}", off, torch.zeros(()), effort)
            yield from means_are(f"variance of step {t}", off.square() - q.variance, torch.zeros(()), effort)


@check(
    "the KL of a step is to the posterior of the step before: KL(q_t || q_t-1) = E_q_t[ln q_t(z) - ln q_t-1(z)]",
    "the divergence to the first prior, of the reverse order, or of detached or shifted parameters",
    by_chance=True,
)
def divergence(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """One sample each of many copies of an image."""
    path = _path(subject, effort)
    for t in range(1, len(path)):
        with torch.no_grad():
            q, before = path[t], path[t - 1]
            z = q.sample(subject.stream("divergence", t))
            ratio = q.log_prob(z) - before.log_prob(z)
            yield from means_are(f"step {t}: E[ln q_t - ln q_t-1] - KL", ratio - q.kl(subject.stream("kl", t)), torch.zeros(()), effort)
