"""Samples and log_prob of an amortised family are of one distribution, which has total mass one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from latentbench.models.codes import Posterior
from latentbench.testing.chance import is_uniform
from latentbench.testing.families.density import Quadrature, is_discrete, places, probabilities
from latentbench.testing.families.subject import FamilySubject
from latentbench.testing.law import Effort, Trial, check, holds

TRANSFORMED = 20_000
"""Samples of a Kolmogorov-Smirnov test."""


def _single(subject: FamilySubject) -> list[tuple[str, Posterior]]:
    """The posterior of the first row, and the prior, in one row each."""
    return [("posterior", subject.posterior(subject.features[:1])), ("prior", subject.family.prior(1))]


@check(
    "samples lie in the support: they are finite, ln q(z) and ln p(z) are finite at them, those of a relaxed family are whole numbers, and those "
    "of a family with `counts` are whole and not negative; a family whose samples are whole and exceed 1 says `counts`",
    "`sample` returns the relaxation, or `relaxed` or `counts` is not what the samples are",
)
def support(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """True samples of posterior and prior."""
    for of, code in subject.both(2000):
        z = subject.samples(f"support of {of}", code)
        yield holds(f"{of}: {int((~z.isfinite()).sum())} samples are not finite", z.isfinite().all())
        for name, density in [("q", subject.repeated(len(z))), ("p", subject.family.prior(len(z)))]:
            log_prob = density.log_prob(z)
            yield holds(f"{of}: ln {name} is not finite at {int((~log_prob.isfinite()).sum())} samples", log_prob.isfinite().all())
        whole, least, largest = is_discrete(z), float(z.min()), float(z.max())
        if subject.family.relaxed or subject.family.counts:
            yield holds(f"{of}: samples from {least:g} to {largest:g} are {'' if whole else 'not '}whole numbers", whole)
        if subject.family.counts:
            yield holds(f"{of}: the least sample is {least:g}", least >= 0)
        if whole and least >= 0 and largest > 1:
            yield holds(f"{of}: samples are counts, and the family says counts = {subject.family.counts}", subject.family.counts)


@check(
    "log_prob is normalised: the sum, or the integral, of exp(log_prob(z)) over all z is 1",
    "a constant of the density is left out, or the Jacobian of a transformation",
)
def normalised(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The mass between the smallest and the largest sample, which misses 1 by 40 / N with probability below 1e-15."""
    missed = max(5e-4, 40 / effort.samples)
    for (of, code), (_, one) in zip(subject.both(effort.samples), _single(subject), strict=True):
        mass = _mass(one, subject.samples(f"normalised {of}", code))
        for latent, total in enumerate(mass.tolist()):
            yield holds(f"{of}, latent {latent}: total mass {total:.6f}", abs(total - 1) <= missed)


def _mass(one: Posterior, z: Tensor) -> Tensor:
    """The total mass of each latent [G]."""
    masses = probabilities(one, z)
    return Quadrature(one, z).total() if masses is None else masses.sum(0)


@check(
    "samples have the distribution that log_prob states: F(z), the mass below a sample, is uniform on [0, 1]",
    "`sample` and `log_prob` have different parameters: a scale for a variance, a rate for a scale, a truncation",
    by_chance=True,
)
def distribution(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Kolmogorov-Smirnov tests of the probability integral transform, latent by latent."""
    tried = min(effort.samples, TRANSFORMED)
    for (of, code), (_, one) in zip(subject.both(effort.samples), _single(subject), strict=True):
        z = subject.samples(f"distribution of {of}", code)
        fresh = subject.samples(f"transform of {of}", dict(subject.both(tried))[of])
        uniform = _transform(one, z, fresh, subject, of)
        for latent in range(uniform.shape[1]):
            yield is_uniform(f"{of}, latent {latent}", uniform[:, latent], effort)


def _transform(one: Posterior, z: Tensor, fresh: Tensor, subject: FamilySubject, of: str) -> Tensor:
    """The probability integral transform of `fresh` samples [N', G], randomised where there is mass; `z` are others that show the range."""
    coins, masses = subject.stream("coins", of), probabilities(one, z)
    if masses is None:
        return Quadrature(one, z).transform(fresh, coins)
    place = places(fresh, z, masses.shape[1])
    up_to = masses.cumsum(0).gather(0, place)
    coin = torch.rand(place.shape, generator=coins, dtype=masses.dtype, device=masses.device)
    return up_to - coin * masses.gather(0, place)
