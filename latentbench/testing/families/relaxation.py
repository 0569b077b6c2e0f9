"""Relaxed samples of an amortised family: they become true samples as the temperature falls, and no other family reads it."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from latentbench.testing.chance import means_are
from latentbench.testing.families.density import is_discrete
from latentbench.testing.families.subject import TEMPERATURE, FamilySubject
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds

MAX_DISTANCE = 0.02
"""Mean distance of samples at T = 1e-3 from true ones; that of a relaxed arrival or one-hot is of the order of the temperature."""


@check(
    "a family with `relaxed` reads the temperature, and no other does; samples at two temperatures and the same noise differ, or are the same",
    "`relaxed` is not set, and suites then do not set a temperature, or `rsample` ignores it",
)
def temperature(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Samples at T = 1 and T = .1, of the same noise."""
    posterior = subject.repeated(200)
    warm, cold = (posterior.rsample(t, subject.stream("temperature")) for t in (1.0, 0.1))
    same = torch.equal(warm, cold)
    yield holds(
        f"samples are {'the same' if same else 'different'}, and the family says relaxed = {subject.family.relaxed}", same != subject.family.relaxed
    )


@check(
    "as T falls to 0, relaxed samples converge to true samples of the same noise, which `relaxed_and_hard` gives",
    "a temperature in the wrong place, noise drawn twice, or hard samples that are rounded relaxed ones of another law",
    by_chance=True,
)
def relaxation(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Distances of relaxed from hard samples at three temperatures, and the hard samples' mean."""
    if not subject.family.relaxed:
        raise InapplicableError("its samples are no relaxation")
    posterior = subject.repeated(min(effort.samples, 20_000))
    distances = []
    for t in (0.1, 0.01, 0.001):
        soft, hard = posterior.relaxed_and_hard(t, subject.stream("relaxation"))
        distances.append(float((soft - hard).abs().mean()))
        yield holds(f"at T = {t:g} hard samples are whole numbers", is_discrete(hard))
        yield holds(
            f"at T = {t:g} `rsample` gives the relaxed sample of the same noise",
            torch.equal(soft, posterior.rsample(t, subject.stream("relaxation"))),
        )
    told = ", ".join(f"{distance:.2g}" for distance in distances)
    yield holds(f"mean distances at T = .1, .01, .001: {told}", distances[0] >= distances[1] >= distances[2] and distances[2] < MAX_DISTANCE)
    _, hard = posterior.relaxed_and_hard(TEMPERATURE, subject.stream("hard"))
    yield from means_are("E of hard samples", hard, subject.posterior().mean[0], effort)
