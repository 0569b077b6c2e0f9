"""An amortised family draws from the generator that it is given, and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from latentbench.testing import bench
from latentbench.testing.ambient import undisturbed
from latentbench.testing.families.subject import TEMPERATURE, FamilySubject
from latentbench.testing.law import Effort, Trial, check, holds


def _draws(subject: FamilySubject) -> dict[str, Callable[[Generator], Any]]:
    """What draws."""
    posterior = subject.posterior(subject.features.repeat(8, 1))
    prior = subject.family.prior(8)
    draws: dict[str, Callable[[Generator], Any]] = {
        "sample": posterior.sample,
        "rsample": lambda generator: posterior.rsample(TEMPERATURE, generator),
        "kl": posterior.kl,
        "prior.sample": prior.sample,
    }
    return draws | ({"relaxed_and_hard": lambda generator: posterior.relaxed_and_hard(TEMPERATURE, generator)[0]} if subject.family.relaxed else {})


@check(
    "the same generator gives the same numbers, whatever the global states of torch, numpy and random are, and leaves these as they are",
    "a draw without `generator=`: torch.randn_like, torch.distributions outside `latentbench.api.forked`, numpy.random",
)
def randomness(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Every method that draws, twice."""
    for name, draw in _draws(subject).items():
        first, kept = undisturbed(partial(draw, subject.stream("randomness")), 1)
        second, _ = undisturbed(partial(draw, subject.stream("randomness")), 2)
        yield holds(f"{name}: the same generator gives the same numbers", torch.equal(first, second))
        yield holds(f"{name}: global random states are left as they are", kept)
    built = [undisturbed(partial(_parameters, subject), seed)[0] for seed in (1, 2)]
    yield holds("initial values depend on the run's seed alone", torch.equal(*built))


@check(
    "two draws from one generator are independent",
    "a generator that is seeded anew at every call, or noise that is kept",
)
def fresh_noise(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Samples that are drawn one after the other, and those of images with the same features, differ."""
    generator, features = subject.stream("fresh"), subject.features[:1].expand(64, -1)
    posterior = subject.posterior(features)
    for name, draw in (("sample", posterior.sample), ("rsample", lambda g: posterior.rsample(TEMPERATURE, g))):
        first, second = draw(generator), draw(generator)
        yield holds(f"{name}: the second draw of a generator differs from the first", not torch.equal(first, second))
        yield holds(f"{name}: images with the same features get different samples", bool((first != first[:1]).any()))


def _parameters(subject: FamilySubject) -> Tensor:
    """All initial values of a family as one vector."""
    state = bench.model(subject.assembly, subject.effort).family.state_dict()
    return torch.cat([torch.zeros(1), *(value.double().flatten().cpu() for value in state.values())])
