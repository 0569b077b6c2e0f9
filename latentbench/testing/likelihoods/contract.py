"""Shapes and types of what a likelihood returns, how many numbers it reads, and what it is built from."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from latentbench.testing.ambient import watched
from latentbench.testing.law import Effort, Trial, check, holds
from latentbench.testing.likelihoods.subject import LikelihoodSubject

SHAPES: tuple[tuple[int, ...], ...] = ((1, 2, 2), (3, 2, 2), (5,))


@check(
    "reconstruction and log_prob are [B], the mean has the images' shape, all have the precision of what is decoded, and every one of the `numbers` "
    "a pixel matters to the cost",
    "a constant or buffer in float64, `chunk` or `flatten` along the wrong side, `numbers` that is not what `reconstruction` reads",
)
def shapes(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """Grey images, colour images and vectors in float32 and float64."""
    for kind in subject.kinds:
        for shape in SHAPES:
            for dtype in (torch.float32, torch.float64):
                likelihood, images = subject.built(kind, shape, dtype), subject.images(kind, shape).to(dtype)
                decoded = subject.decoded(kind, shape).to(dtype).requires_grad_()
                where = f"{kind}, items {list(shape)}, {dtype}: ".replace("torch.", "")
                cost, log_prob, mean = likelihood.reconstruction(images, decoded), likelihood.log_prob(images, decoded), likelihood.mean(decoded)
                for name, value, wanted in (
                    ("reconstruction", cost, images.shape[:1]),
                    ("log_prob", log_prob, images.shape[:1]),
                    ("mean", mean, images.shape),
                ):
                    found = f"{list(value.shape)}, {value.dtype}".replace("torch.", "")
                    yield holds(f"{where}{name} {found}, expected {list(wanted)}", value.shape == wanted and value.dtype == dtype)
                unread = int((torch.autograd.grad(cost.sum(), decoded)[0] == 0).sum())
                yield holds(f"{where}{unread} of {decoded.numel()} decoded numbers do not matter", unread == 0)


@check(
    "a likelihood is its state_dict, its initial values follow from the run's seed, and it draws nothing",
    "a learned scale in a plain attribute, a draw from a global generator",
)
def state(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """A likelihood, and one of another seed that takes its state over; one likelihood twice under two global seeds."""
    for kind in subject.kinds:
        images, decoded = subject.images(kind), subject.decoded(kind)
        used, restored = subject.built(kind, seed=1), subject.built(kind, seed=2)
        restored.load_state_dict(used.state_dict())
        yield holds(f"{kind}: the restored one costs the same", torch.equal(used.log_prob(images, decoded), restored.log_prob(images, decoded)))
        seen = []
        for seed in (1, 2):
            with watched(seed) as changed:
                seen.append(subject.built(kind).log_prob(images, decoded))
            yield holds(f"{kind}: changes {' and '.join(changed) or 'no global state'}", not changed)
        yield holds(f"{kind}: costs do not depend on global random states", torch.equal(*seen))
