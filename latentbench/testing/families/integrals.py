"""What evaluations that integrate or sum over z are told of a distribution: that it is normal, and which values it takes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Normal

from latentbench.models.codes import Posterior
from latentbench.testing.families.density import columns
from latentbench.testing.families.subject import FamilySubject
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds

TAIL = 1e-6
SAMPLES = 200


@check(
    "a posterior or prior that says `is_normal` has ln q(z) = ln N(z; mean, variance) in each dimension",
    "`is_normal` was inherited, or `variance` is a scale",
)
def normal(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """At true samples."""
    found = [(of, code) for of, code in subject.both(SAMPLES) if code.is_normal]
    if not found:
        raise InapplicableError("neither its posterior nor its prior says that it is normal")
    for of, code in found:
        z = subject.samples(f"normal {of}", code)
        worst = float((Normal(code.mean, code.variance.sqrt()).log_prob(z) - code.log_prob(z)).abs().max())
        yield holds(f"{of}: ln q differs from that of N(mean, variance) by {worst:.3g}", worst < 1e-9)


@check(
    "`values(tail)` are distinct, and hold all but `tail` of the probability of every latent; `values(0)` all of it",
    "a quantile that is one too small, or values of the first latent alone",
)
def values(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The mass of the values, by log_prob."""
    one = [("posterior", subject.posterior(subject.features[:1])), ("prior", subject.family.prior(1))]
    found = [(of, code, tail, code.values(tail)) for of, code in one for tail in (0.0, TAIL)]
    if all(listed is None for *_, listed in found):
        raise InapplicableError("it lists no values")
    for of, code, tail, listed in found:
        if listed is not None:
            distinct = len(listed.unique(dim=0)) == len(listed)
            yield holds(f"{of}, tail {tail:g}: {len(listed)} values are {'' if distinct else 'not '}distinct", distinct)
            missed = float(1 - _mass(code, listed).min())
            yield holds(f"{of}, tail {tail:g}: values leave out {missed:.3g} of a latent's probability", missed <= tail + 1e-12)


def _mass(code: Posterior, listed: Tensor) -> Tensor:
    """The probability of the values, of each latent [G]."""
    k = code.mean.shape[1]
    every: Tensor = columns(code, listed.repeat(1, k // listed.shape[1]))
    return torch.logsumexp(every, 0).exp()
