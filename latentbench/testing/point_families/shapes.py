"""Shapes, types and names of what a sparse coder returns, at moderate and at extreme images."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from latentbench.models.codes import PointCode
from latentbench.testing.law import Effort, Trial, check, holds
from latentbench.testing.point_families.subject import PointSubject


@check(
    "`infer` gives codes [B, K] in the precision of the images, without gradient, and `encode` a point code of them",
    "a transposed product, a constant in float64, or a code that is computed with gradient",
)
def shapes(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """Codes of some images and of one, in float32 and float64."""
    for dtype in (torch.float32, torch.float64):
        model = subject.built(dtype).requires_grad_(True)
        for batch in (1, len(subject.images)):
            code = subject.encoded(model, subject.images[:batch].to(dtype))
            wanted = [batch, subject.family.latent_dim]
            yield holds(f"an object of the class {type(code).__name__}", isinstance(code, PointCode))
            yield holds(f"codes {list(code.mean.shape)}, expected {wanted}", list(code.mean.shape) == wanted)
            yield holds(f"codes in {code.mean.dtype} of images in {dtype}".replace("torch.", ""), code.mean.dtype == dtype)
            yield holds("codes carry no gradient", not code.mean.requires_grad)


@check(
    "`costs` gives one number an image [B] for each name, `cost` first, and every name is declared in `measures`",
    "a mean over images, or a cost that is not declared",
)
def costs(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """The costs of the inferred codes."""
    found = subject.costs(subject.model, subject.images, subject.code, subject.code.mean)
    yield holds(f"the first cost is {next(iter(found), 'missing')}, expected {subject.part.cost}", next(iter(found), None) == subject.part.cost)
    for name, cost in found.items():
        yield holds(f"{name} is {'' if name in subject.part.measures else 'not '}declared in `measures`", name in subject.part.measures)
        yield holds(f"{name}: {list(cost.shape)}, expected {[len(subject.images)]}", cost.shape == (len(subject.images),))
        yield holds(f"{name}: {int((~cost.isfinite()).sum())} numbers are not finite", cost.isfinite().all())


@check(
    "codes and costs are finite for black images, for images 10^4 times as bright, and for a dictionary with a column of zeros",
    "a division by the norm of an image or of a column, or a step that is too long for bright images",
)
def extremes(subject: PointSubject, effort: Effort) -> Iterator[Trial]:
    """Three extremes."""
    lame = subject.built()
    lame.decoder.weight[:, 0] = 0.0  # type: ignore[operator]  # a linear decoder has a weight
    for what, model, factor in (("black", subject.model, 0.0), ("bright", subject.model, 1e4), ("a column of zeros", lame, 1.0)):
        images = factor * subject.images
        code = subject.encoded(model, images)
        cost = subject.costs(model, images, code, code.mean)[subject.part.cost]
        yield holds(f"{what}: {int((~code.mean.isfinite()).sum())} codes are not finite", code.mean.isfinite().all())
        yield holds(f"{what}: {int((~cost.isfinite()).sum())} costs are not finite", cost.isfinite().all())
    black = subject.encoded(subject.model, torch.zeros_like(subject.images)).mean
    yield holds(f"the largest code of a black image is {float(black.abs().max()):.2g}", float(black.abs().max()) < 1e-9)
