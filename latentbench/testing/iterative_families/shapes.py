"""Shapes, types and names of what an iterative family returns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import cast

import torch
from torch import Tensor

from latentbench.models.iterative import Iterate, IterativeFamily
from latentbench.testing.iterative_families.subject import ROWS, IterativeSubject
from latentbench.testing.law import Effort, Trial, check, holds


def _values(iterate: Iterate) -> dict[str, Tensor]:
    q = iterate.posterior
    return {"mean": q.mean, "variance": q.variance, "location": q.location, "reconstruction": iterate.reconstruction, "kl": iterate.kl}


@check(
    "every step gives a posterior with mean, variance and location [B, K], a reconstruction [B] and a KL [B, G] with 1 <= G <= K; there are `steps` "
    "of them in training and `evaluation_steps` in evaluations, which carry no gradient; q_0 = `prior` has as many rows as it is asked for, and KL 0",
    "a cost that is summed over the batch, one step too many or too few, or a prior whose `kl` is to something else",
)
def shapes(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """The steps of training and of evaluations, and the prior."""
    model, images = subject.built(), subject.images[:ROWS]
    family = cast("IterativeFamily", model.family)
    for training, count in ((True, family.steps), (False, family.evaluation_steps)):
        iterates, of = list(subject.iterates(model, images, training)), "training" if training else "evaluation"
        yield holds(f"{len(iterates)} steps of {of}, expected {count}", len(iterates) == count)
        for t, iterate in enumerate(iterates, 1):
            found = {name: tuple(value.shape) for name, value in _values(iterate).items()}
            full, groups = (ROWS, family.latent_dim), found["kl"][-1] if found["kl"] else 0
            fits = all(found[name] == full for name in ("mean", "variance", "location")) and found["reconstruction"] == (ROWS,)
            yield holds(f"{of}, step {t}: {found}", fits and found["kl"] == (ROWS, groups) and 1 <= groups <= family.latent_dim)
            if not training:
                yield holds(f"step {t} of an evaluation carries no gradient", not any(value.requires_grad for value in _values(iterate).values()))
    prior = family.prior(3)
    yield holds(f"a prior of 3 rows has {len(prior.mean)}", len(prior.mean) == 3)
    if not family.estimated_kl:
        largest = float(prior.kl(subject.stream("prior")).detach().abs().max())
        yield holds(f"the KL of q_0 is {largest:.2g}, expected 0", largest < 1e-9)


@check(
    "what is computed in a precision has that precision",
    "a constant or a buffer in float64, or a tensor made without `dtype=` of the parameters",
)
def dtypes(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """Three steps, in float32 and float64."""
    for dtype in (torch.float32, torch.float64):
        model = subject.built(dtype)
        for t, iterate in enumerate(islice(subject.iterates(model, subject.images[:ROWS].to(dtype), False), 3), 1):
            for name, value in _values(iterate).items():
                yield holds(f"step {t}, {name} in {value.dtype} of {dtype} images".replace("torch.", ""), value.dtype == dtype)


@check(
    "`costs` gives one finite number an image [B] for each name, `cost` first, and every name is declared in `measures`",
    "a mean over images, or a cost that is not declared",
)
def costs(subject: IterativeSubject, effort: Effort) -> Iterator[Trial]:
    """The costs of an evaluation."""
    model, images = subject.built(), subject.images[:ROWS]
    with torch.no_grad():
        code = subject.encoded(model, images)
        z = cast("IterativeFamily", model.family).activation(code.sample(subject.stream("costs")))
        found = model.family.costs(images, code, z, model.decoder(z), model.likelihood, code.kl(subject.stream("costs")))
    yield holds(f"the first cost is {next(iter(found), 'missing')}, expected {subject.part.cost}", next(iter(found), None) == subject.part.cost)
    for name, cost in found.items():
        yield holds(f"{name} is {'' if name in subject.part.measures else 'not '}declared in `measures`", name in subject.part.measures)
        yield holds(f"{name}: {list(cost.shape)}, expected {[ROWS]}", cost.shape == (ROWS,))
        yield holds(f"{name}: {int((~cost.isfinite()).sum())} numbers are not finite", cost.isfinite().all())
