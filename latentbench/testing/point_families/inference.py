"""A sparse coder's inference minimises its cost."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds, remark
from latentbench.testing.point_families.subject import PointSubject

GAP = 0.01
"""Share of what can be gained over the zero code that inference may leave, a mean over images."""
SWEEPS = 80


@check(
    "a code costs no more than the code 0, from which every inference may start",
    "a threshold of the wrong sign, a step that is too long, or a cost that has another weight of the penalty than inference",
)
def zero_code(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """The cost of every image."""
    cost, nothing = subject.cost(subject.code.mean), subject.cost(torch.zeros_like(subject.code.mean))
    worse = int((cost > nothing * (1 + 1e-9) + 1e-12).sum())
    yield holds(
        f"{worse} of {len(cost)} images cost more at their codes than at 0: {float(cost.mean()):.6g} and {float(nothing.mean()):.6g}", not worse
    )


@check(
    f"codes minimise the family's cost: they leave at most {GAP:.0%} of what an independent search gains over the code 0, a mean over images",
    "too few iterations, a threshold at another weight than the penalty's, or the squared error for its half",
)
def optimum(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """Against a search along the coordinates that sees the cost alone; of a convex cost with a separable penalty it finds the minimum."""
    if subject.ends_early:
        raise InapplicableError("inference ends where codes change by less than a tolerance")
    cost, nothing = subject.cost(subject.code.mean), subject.cost(torch.zeros_like(subject.code.mean))
    best = torch.minimum(subject.cost(_searched(subject)), cost)
    gap = float(((cost - best) / (nothing - best).clamp(min=1e-12)).mean())
    yield holds(f"costs {float(cost.mean()):.6g}, at the minimum {float(best.mean()):.6g}: {gap:.2g} of the gain over 0 is left", gap <= GAP)
    yield remark(f"distance to the minimum: {gap:.2g} of the gain over the code 0")


@check(
    "with `non_negative` no code is negative, and without it some are, where images have both signs",
    "an option that inference does not read",
)
def non_negative(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """The smallest code."""
    asked = getattr(subject.options, "non_negative", None)
    if asked is None:
        raise InapplicableError("it has no option `non_negative`")
    least = float(subject.code.mean.min())
    yield holds(f"the smallest code is {least:.3g} with non_negative={asked}", (least >= 0) == asked)


def _searched(subject: PointSubject) -> Tensor:
    """Codes [B, K] from 0, each coordinate in turn moved by what lowers the cost of its image, by steps that grow or shrink."""
    z = torch.zeros_like(subject.code.mean)
    floor = 0.0 if getattr(subject.options, "non_negative", False) else -float("inf")
    cost, size = subject.cost(z), torch.full_like(z, 4.0)
    for _ in range(SWEEPS):
        for k in range(z.shape[1]):
            for side in (1.0, -1.0):
                moved = z.clone()
                moved[:, k] = (z[:, k] + side * size[:, k]).clamp(min=floor)
                tried = subject.cost(moved)
                better = tried < cost
                z, cost = torch.where(better[:, None], moved, z), torch.where(better, tried, cost)
                size[:, k] = torch.where(better, 1.7 * size[:, k], 0.62 * size[:, k])
    return z
