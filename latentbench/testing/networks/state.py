"""What a network's modules are built from, and what is stored of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from latentbench.streams import forked
from latentbench.testing.ambient import watched
from latentbench.testing.law import Effort, Trial, check, holds
from latentbench.testing.networks.subject import Case, NetworkSubject


@check(
    "initial values follow from the run's seed alone, and differ between seeds; in evaluation mode nothing is drawn, and in training mode only in "
    "the fork of torch's global state that training gives",
    "numpy.random, a generator that is seeded in the network, dropout in evaluation mode",
)
def randomness(subject: NetworkSubject, effort: Effort) -> Iterator[Trial]:
    """Every module is built and used twice, under two global seeds."""
    for case in subject.few:
        seen = []
        for seed in (1, 2):
            with watched(seed) as changed:
                seen.append(_used(case))
            yield holds(f"{case.title}: changes {' and '.join(changed) or 'no global state'}", not changed)
        same = all(torch.equal(one, other) for one, other in zip(*seen, strict=True))
        yield holds(f"{case.title}: the same seed gives {'the same' if same else 'another'} module", same)
        one, other = (torch.cat([p.flatten() for p in case.built(seed).parameters()]) for seed in (1, 2))
        yield holds(f"{case.title}: another seed gives {'the same' if torch.equal(one, other) else 'another'} module", not torch.equal(one, other))


def _used(case: Case) -> list[Tensor]:
    """Initial values, what is made in evaluation mode, and in training mode."""
    module, values = case.built(), case.values()
    made = [module(values)]
    with forked(0):
        made.append(module.train()(values))
    return [*module.state_dict().values(), *made]


@check(
    "a module is its state_dict: another of another seed with the same state gives the same, after training too",
    "a tensor that is neither a parameter nor a buffer, statistics in a plain attribute",
)
def state(subject: NetworkSubject, effort: Effort) -> Iterator[Trial]:
    """A module that was used in training mode, and one that takes its state over."""
    for case in subject.few:
        used, restored, values = case.built(1), case.built(2), case.values()
        with forked(0):
            used.train()(values)
        restored.load_state_dict(used.state_dict())
        one, other = used.eval()(values), restored.eval()(values)
        yield holds(f"{case.title}: the restored one differs by {float((one - other).detach().abs().max()):.2g}", torch.equal(one, other))
