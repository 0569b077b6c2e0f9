"""The density of a likelihood, summed or integrated over every image of one and of two pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentbench.testing.law import Effort, Trial, check, holds
from latentbench.testing.likelihoods.subject import BATCH, Kind, LikelihoodSubject

FAR = 4.0
"""Integrals over real numbers are sums over t in [-4, 4] at x = sinh(pi/2 sinh t), so far that tails like x^-2 are in (Takahasi and Mori 1974)."""
NODES = {1: 801, 2: 181}
COUNTS = {1: 600, 2: 150}
CLOSE = 1e-6
REAL = "real numbers"
SUPPORTS: dict[Kind, tuple[str, ...]] = {"real": (REAL,), "unit": ("[0, 1]", REAL), "binary": ("0 and 1", REAL), "count": ("counts", REAL)}


@dataclass(frozen=True)
class Integral:
    """What a density over a support comes to: its total, and its mean [M]."""

    support: str
    total: float
    mean: Tensor


@check(
    "p(x | z) is normalised: its sum, or integral, over all images is 1",
    "a missing normaliser or `constant`, a mean over pixels for a sum, an approximation of ln x!",
)
def normalised(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """Images of one and of two pixels of every kind that the likelihood is for."""
    for kind in subject.kinds:
        for pixels in (1, 2):
            for row in range(BATCH):
                best = _best(subject, kind, pixels, row)
                yield holds(f"{kind} images of {pixels} pixels: {best.total:.9g} over {best.support}", abs(best.total - 1) < CLOSE)


@check(
    "`mean(decoded)` is E[x | z]",
    "the mode or the natural parameter for the mean, a forgotten link function, or the scale's number for the location's",
)
def mean(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """Images of one and of two pixels of every kind that the likelihood is for."""
    for kind in subject.kinds:
        for pixels in (1, 2):
            stated = subject.built(kind, (1, 1, pixels)).mean(subject.decoded(kind, (1, 1, pixels))).detach().flatten(1)
            for row in range(BATCH):
                worst = float((_best(subject, kind, pixels, row).mean - stated[row]).abs().max())
                yield holds(f"{kind} images of {pixels} pixels: stated {stated[row].tolist()}, differs by {worst:.2g}", worst < CLOSE)


def _best(subject: LikelihoodSubject, kind: Kind, pixels: int, row: int) -> Integral:
    """Over the support on which the total is closest to 1: any kind of numbers may be given a density over the real ones."""
    found = []
    for support in SUPPORTS[kind]:
        found.append(_integral(subject, kind, pixels, row, support))
        if abs(found[-1].total - 1) < CLOSE:
            break
    return min(found, key=lambda one: abs(one.total - 1) if np.isfinite(one.total) else np.inf)


def _integral(subject: LikelihoodSubject, kind: Kind, pixels: int, row: int, support: str) -> Integral:
    """The sum over a grid of images, about what the likelihood says is the mean."""
    shape = (1, 1, pixels)
    likelihood, decoded = subject.built(kind, shape), subject.decoded(kind, shape)[row : row + 1]
    with torch.no_grad():
        centre = likelihood.mean(decoded).flatten()
        rules = [nodes(support, pixels, float(at)) for at in centre]
        x = torch.cartesian_prod(*(centre.new_tensor(points) for points, _ in rules)).reshape(-1, pixels)  # [N, M]
        weights = torch.cartesian_prod(*(centre.new_tensor(weights) for _, weights in rules)).reshape(-1, pixels).prod(1)
        density = likelihood.log_prob(x.reshape(-1, *shape), decoded.expand(len(x), *decoded.shape[1:])).exp() * weights
    return Integral(support, float(density.sum()), centre + density @ (x - centre))


def nodes(support: str, pixels: int, centre: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of a pixel and their weights: all of them, or those of a double-exponential rule."""
    if support == "0 and 1":
        return np.array([0.0, 1.0]), np.ones(2)
    if support == "counts":
        return np.arange(COUNTS[pixels], dtype=float), np.ones(COUNTS[pixels])
    t = np.linspace(-FAR, FAR, NODES[pixels])
    inner, width = np.pi / 2 * np.sinh(t), np.pi / 2 * np.cosh(t) * (t[1] - t[0])
    if support == REAL:
        return centre + np.sinh(inner), np.cosh(inner) * width
    x = 1 / (1 + np.exp(-2 * inner))
    inside = (x > 0) & (x < 1)
    return x[inside], (0.5 / np.cosh(inner) ** 2 * width)[inside]
