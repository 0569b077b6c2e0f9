"""An amortised family stays finite in float32 where an encoder goes astray."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Generator, Tensor

from latentbench.models.codes import Posterior
from latentbench.testing.families.subject import FamilySubject
from latentbench.testing.law import Effort, Trial, check, holds

LOW, HIGH, ZERO = -20.0, 9.21, -110.0
"""Features whose exponentials are 2e-9, 1e4 and, in float32, 0: scales of e^-20, rates of 1e4 and of 0."""


def _quantities(z: Tensor, generator: Callable[[], Generator]) -> dict[str, Callable[[Posterior], Tensor]]:
    return {
        "mean": lambda q: q.mean,
        "variance": lambda q: q.variance,
        "sample": lambda q: q.sample(generator()),
        "rsample at T = 1": lambda q: q.rsample(1.0, generator()),
        "rsample at T = .05": lambda q: q.rsample(0.05, generator()),
        "log_prob": lambda q: q.log_prob(z),
        "kl": lambda q: q.kl(generator()),
    }


@check(
    "values and gradients are finite in float32 where features are -20 and 9.21 (scales of e^-20, rates of 1e4), and for counts at rates of 0",
    "a logarithm or a division of something that underflows, an exponential that overflows, or 0 times infinity",
)
def extremes(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Every quantity and its gradient at features that are all alike, and at both signs in turn."""
    family = subject.built(torch.float32).requires_grad_()
    mixed = torch.tensor([LOW, HIGH]).repeat(family.features)[: family.features]
    points = {"-20": torch.full_like(mixed, LOW), "9.21": torch.full_like(mixed, HIGH), "-20 and 9.21 in turn": mixed}
    points |= {"-110": torch.full_like(mixed, ZERO)} if family.counts else {}
    for where, point in points.items():
        features = point.expand(8, -1).clone().to(effort.device).requires_grad_()
        z = family.posterior(features).sample(subject.stream("extremes"))
        for name, quantity in _quantities(z, lambda: subject.stream("extremes")).items():
            yield from _finite(f"{name} at features of {where}", quantity(family.posterior(features)), [features, *family.parameters()])


def _finite(what: str, value: Tensor, inputs: list[Tensor]) -> Iterator[Trial]:
    yield holds(f"{what}: {int((~value.isfinite()).sum())} of {value.numel()} numbers are not finite", value.isfinite().all())
    if value.requires_grad:
        found = torch.autograd.grad(value.sum(), inputs, allow_unused=True)
        bad = sum(int((~gradient.isfinite()).sum()) for gradient in found if gradient is not None)
        yield holds(f"gradient of {what}: {bad} numbers are not finite", bad == 0)
