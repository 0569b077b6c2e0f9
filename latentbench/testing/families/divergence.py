"""The Kullback-Leibler divergence of an amortised family is the mean of ln q(z) - ln p(z)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from latentbench.testing.chance import means_are, same_means
from latentbench.testing.families.density import probabilities
from latentbench.testing.families.subject import FamilySubject
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds


@check(
    "KL(q || p) = E_q [ln q(z) - ln p(z)], for each latent",
    "a factor, a sum over latents, the divergence to another prior than `prior`, or that of the distribution before an activation",
    by_chance=True,
)
def kl(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The stated divergence against the sum over discrete samples, or the mean over many; an estimated one's mean against that mean."""
    many = subject.repeated(effort.samples)
    z = subject.samples("kl", many)
    stated = many.kl(subject.stream("estimated kl"))  # [N, G]
    summed = _summed(subject, z)
    if summed is not None and not subject.family.estimated_kl:
        for latent, (found, exact) in enumerate(zip(stated[0].tolist(), summed.tolist(), strict=True)):
            yield holds(f"latent {latent}: {found:.8g}, by summation {exact:.8g}", abs(found - exact) <= 1e-6 * max(abs(exact), 1e-3))
        return
    ratio = many.log_prob(z) - subject.family.prior(len(z)).log_prob(z)
    if subject.family.estimated_kl:
        yield from same_means("KL, latent ", stated, ratio, effort)
    else:
        yield from means_are("ln q - ln p, latent ", ratio, stated[0], effort)


def _summed(subject: FamilySubject, z: Tensor) -> Tensor | None:
    """The divergence of each latent [G] by summation over whatever discrete samples may be; None for other samples."""
    q = probabilities(subject.posterior(subject.features[:1]), z)
    p = probabilities(subject.family.prior(1), z)
    return None if q is None or p is None else (q * (q / p).log()).where(q > 0, 0.0).sum(0)


@check("KL(p || p) = 0: the prior as a posterior costs nothing", "the divergence is taken to another distribution than `prior` gives")
def kl_at_prior(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The prior's own divergence."""
    found = subject.family.prior(3).kl(subject.stream("kl at prior"))
    yield holds(f"largest |KL(p || p)| of a latent: {float(found.abs().max()):.3g} nats", found.abs().max() <= 1e-9)


@check("KL(q || p) >= 0", "a sign, or a term that is left out")
def kl_is_positive(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Closed forms, at random features from -3 to 3."""
    if subject.family.estimated_kl:
        raise InapplicableError("an estimate from one sample may be negative")
    features = effort.uniform(-3, 3, 100, subject.family.features, name="positive")
    least = float(subject.posterior(features).kl(subject.stream("positive")).min())
    yield holds(f"least divergence of 100 images' latents: {least:.3g} nats", least >= -1e-12)
