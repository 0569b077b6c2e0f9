"""An iterative family gives the same codes again: whatever the global random states, and from what was stored."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from latentbench.models.model import Model
from latentbench.testing.ambient import undisturbed
from latentbench.testing.iterative_families.subject import ROWS, IterativeSubject
from latentbench.testing.law import Effort, Trial, check, holds


def _mean(subject: IterativeSubject, model: Model, training: bool) -> torch.Tensor:
    return subject.encoded(model, subject.images[:ROWS], training).mean.detach()


@check(
    "the same generator gives the same codes, whatever the global states of torch, numpy and random are, and leaves these as they are",
    "a draw without `generator=`: torch.randn_like, torch.distributions outside `latentbench.api.forked`",
)
def randomness(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """Inference in training and in evaluations, twice each."""
    model = subject.built()
    for training in (True, False):
        (first, kept), (second, _) = (undisturbed(lambda t=training: _mean(subject, model, t), seed) for seed in (1, 2))  # type: ignore[misc]  # t is bool
        of = "training" if training else "evaluation"
        yield holds(f"{of}: codes differ by {float((first - second).abs().max()):.2g}", torch.equal(first, second))
        yield holds(f"{of}: global random states are left as they are", kept)


@check(
    "a family is its state_dict: another instance with the same state infers the same codes",
    "what an epoch has changed in a plain attribute, or a tensor that is neither a parameter nor a buffer",
)
def state(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """A model that has seen epochs, and a new one of another seed that takes its state over."""
    used, restored = subject.built(seed=1), subject.built(seed=2)
    for epoch in range(3):
        used.family.begin_epoch(epoch, 3)
        used.family.observe(subject.encoded(used, subject.images[:ROWS], True))
    restored.load_state_dict(used.state_dict())
    one, other = _mean(subject, used, False), _mean(subject, restored, False)
    yield holds(f"codes of the restored model differ by {float((one - other).abs().max()):.2g}", torch.equal(one, other))
