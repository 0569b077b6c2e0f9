"""What a likelihood costs: by image, by its constant, by its gradient, and where numbers are extreme."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck

from latentbench.models.likelihood import Likelihood
from latentbench.testing.law import Effort, Trial, check, holds
from latentbench.testing.likelihoods.subject import Kind, LikelihoodSubject

ENDS: dict[Kind, tuple[float, ...]] = {"real": (-5.0, 0.0, 5.0), "unit": (0.0, 1.0), "binary": (0.0, 1.0), "count": (0.0, 1.0, 255.0)}
EXTREMES = (-1e4, -30.0, 0.0, 30.0, 1e4)
SHARED = 0.3
"""Value of all parameters where pixels must be alike."""


@check(
    "costs are [B], those of an image are its own, and a pixel that is there twice costs twice: ln p(x, x | z, z) = 2 ln p(x | z)",
    "a mean over pixels or over the batch, a sum over the batch, a statistic of the batch",
)
def per_image(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """Each image alone, and images of one pixel against those of two."""
    for kind in subject.kinds:
        likelihood, images, decoded = subject.built(kind), subject.images(kind), subject.decoded(kind)
        for name, cost in (("reconstruction", likelihood.reconstruction), ("log_prob", likelihood.log_prob)):
            whole = cost(images, decoded)
            yield holds(f"{kind}: {name} {list(whole.shape)}, expected [{len(images)}]", whole.shape == (len(images),))
            alone = torch.stack([cost(images[i : i + 1], decoded[i : i + 1]).sum() for i in range(len(images))])
            yield holds(f"{kind}: {name} alone {alone.tolist()}, in a batch {whole.tolist()}", _alike(alone, whole))
        one, two = (_log_prob(subject, kind, pixels) for pixels in (1, 2))
        yield holds(f"{kind}: ln p of a pixel {one.tolist()}, of two {two.tolist()}", _alike(2 * one, two))


def _log_prob(subject: LikelihoodSubject, kind: Kind, pixels: int) -> Tensor:
    """ln p of images that repeat their first pixel."""
    likelihood = subject.built(kind, (1, 1, pixels))
    for parameter in likelihood.parameters():
        torch.nn.init.constant_(parameter, SHARED)
    images, decoded = subject.images(kind, (1, 1, 1)), subject.decoded(kind, (1, 1, 1))
    return likelihood.log_prob(images.expand(-1, -1, -1, pixels), decoded.expand(-1, -1, -1, pixels)).detach()


@check(
    "ln p(x | z) + reconstruction + constant = 0, and the constant depends on neither what is decoded nor a parameter",
    "a normaliser with a learned scale in `constant`, a `log_prob` of its own that has another one",
)
def constant(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """Two choices of parameters and of what is decoded."""
    for kind in subject.kinds:
        images, constants = subject.images(kind), []
        for seed in (1, 2):
            likelihood, decoded = subject.built(kind, seed=seed), subject.decoded(kind, name=f"decoded/{seed}")
            rest = likelihood.log_prob(images, decoded) + likelihood.reconstruction(images, decoded) + likelihood.constant
            yield holds(f"{kind}: ln p + reconstruction + constant = {rest.tolist()}", _alike(rest, torch.zeros_like(rest)))
            constants.append(float(likelihood.constant))
        yield holds(f"{kind}: constants {constants}", constants[0] == constants[1])


@check(
    "the derivatives of the cost in what is decoded and in the likelihood's own parameters are the limits of their finite differences",
    "a `detach`, a `no_grad`, a `clamp`, an approximation in only one direction",
)
def gradient(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """Against central differences in float64."""
    for kind in subject.kinds:
        likelihood, images, decoded = subject.built(kind), subject.images(kind), subject.decoded(kind).requires_grad_()
        wrong = _difference(likelihood, images, decoded)
        yield holds(f"{kind}{wrong}", not wrong)


def _difference(likelihood: Likelihood, images: Tensor, decoded: Tensor) -> str:
    """In what the derivatives differ from finite differences, as a clause; nothing where they do not."""
    inputs = (decoded, *likelihood.parameters())
    try:
        gradcheck(lambda *_: likelihood.reconstruction(images, decoded), inputs, eps=1e-6, atol=1e-6, rtol=1e-4)
    except GradcheckError as error:
        return f": {' '.join(str(error).split())[:300]}"
    return ""


@check(
    "`is_quadratic` is true exactly where reconstruction = |x - decoded|^2",
    "a factor of 1/2, a learned variance, or an `is_quadratic` that was copied",
)
def quadratic(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """The kit's images and what is decoded."""
    says = subject.part.is_quadratic(subject.options)
    for kind in subject.kinds:
        images, decoded = subject.images(kind), subject.decoded(kind)
        cost = subject.built(kind).reconstruction(images, decoded)
        squared = images.shape == decoded.shape and _alike(cost, (images - decoded).flatten(1).square().sum(1))
        yield holds(f"{kind}: is_quadratic is {says}, and the cost {'is' if squared else 'is not'} the squared error", says == squared)


@check(
    "costs and their gradients are finite in float32 where decoded numbers are +-30 and +-1e4, for images at the ends of their range",
    "the logarithm of a probability that underflows, an exponential that overflows, or 0 times infinity",
)
def extremes(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """Every pair of an extreme and an end."""
    for kind in subject.kinds:
        likelihood = subject.built(kind, dtype=torch.float32)
        for at in EXTREMES:
            for end in ENDS[kind]:
                decoded = torch.full_like(subject.decoded(kind), at, dtype=torch.float32).requires_grad_()
                cost = likelihood.reconstruction(torch.full_like(subject.images(kind), end, dtype=torch.float32), decoded)
                found = torch.autograd.grad(cost.sum(), [decoded, *likelihood.parameters()], allow_unused=True, materialize_grads=True)
                bad = [int((~value.isfinite()).sum()) for value in (cost, *found)]
                yield holds(f"{kind}: decoded {at:g}, images {end:g}: {bad[0]} costs, {sum(bad[1:])} derivatives not finite", sum(bad) == 0)


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-9, atol=1e-9)
