"""Shapes and types of what an amortised family returns."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from latentbench.testing.families.subject import TEMPERATURE, FamilySubject
from latentbench.testing.law import Effort, Trial, check, holds


def _values(subject: FamilySubject, dtype: torch.dtype) -> Iterator[tuple[str, Tensor, tuple[int | None, ...]]]:
    """What a posterior and a prior return, and the shape that is promised; None allows any size."""
    family = subject.built(dtype)
    features = subject.features.to(dtype)
    for of, code, batch in (("posterior", family.posterior(features), len(features)), ("prior", family.prior(3), 3)):
        z = code.sample(subject.stream("shapes"))
        full, groups = (batch, family.latent_dim), (batch, code.log_prob(z).shape[-1] if code.log_prob(z).ndim else None)
        yield f"{of}.mean", code.mean, full
        yield f"{of}.variance", code.variance, full
        yield f"{of}.location", code.location, full
        yield f"{of}.representation", code.representation, (batch, None)
        yield f"{of}.sample", z, full
        yield f"{of}.rsample", code.rsample(TEMPERATURE, subject.stream("shapes")), full
        yield f"{of}.log_prob", code.log_prob(z), groups
        yield f"{of}.log_prob of samples [5, {batch}, K]", code.log_prob(z.expand(5, *z.shape)), (5, *groups)
        yield f"{of}.kl", code.kl(subject.stream("shapes")), groups
        yield f"{of}.decoded_variance", code.decoded_variance(subject.dictionary.to(dtype)), (batch,)


@check(
    "mean, variance, location and samples are [B, K], the representation [B, F], log_prob and kl [B, G] with 1 <= G <= K, decoded_variance [B]; "
    "log_prob of samples [S, B, K] is [S, B, G]; a prior has as many rows as it is asked for",
    "a sum over latents too many, a prior that ignores its batch, or one number per image where a vector is promised",
)
def shapes(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Shapes of every method, of posterior and prior."""
    for what, value, shape in _values(subject, torch.float64):
        fits = value.ndim == len(shape) and all(size in (None, found) for found, size in zip(value.shape, shape, strict=True))
        wanted = ["any" if size is None else size for size in shape]
        yield holds(f"{what}: {list(value.shape)}, expected {wanted}", fits)
    groups = subject.posterior().log_prob(subject.samples("shapes", subject.posterior())).shape[-1]
    yield holds(f"G = {groups} latents in K = {subject.family.latent_dim} dimensions", 1 <= groups <= subject.family.latent_dim)


@check(
    "what is computed in a precision has that precision",
    "a constant or a buffer in float64, a tensor made without `dtype=` of the parameters, or a type that was fixed",
)
def dtypes(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """The type of every method's result, in float32 and float64."""
    for dtype in (torch.float32, torch.float64):
        for what, value, _ in _values(subject, dtype):
            yield holds(f"{what} of {dtype} features: {value.dtype}".replace("torch.", ""), value.dtype == dtype)


@check(
    "the posterior of an image depends on its own features alone: q(z_i | x_i) for any batch",
    "statistics over the batch (a normalisation, a maximum) in `posterior`",
)
def rows(subject: FamilySubject, effort: Effort) -> Iterator[Trial]:
    """Mean, variance and KL of one row alone, and in a batch."""
    alone, whole = subject.posterior(subject.features[:1]), subject.posterior()
    pairs = {"mean": (alone.mean, whole.mean[:1]), "variance": (alone.variance, whole.variance[:1])}
    if not subject.family.estimated_kl:
        pairs["kl"] = (alone.kl(subject.stream("rows")), whole.kl(subject.stream("rows"))[:1])
    for what, (one, other) in pairs.items():
        yield holds(f"{what}: differs by {float((one - other).abs().max()):.2g}", torch.allclose(one, other, rtol=1e-9, atol=1e-12))
