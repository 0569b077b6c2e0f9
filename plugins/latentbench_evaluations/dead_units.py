"""The rules by which the authors tell dead units (Poisson VAE, Table 3, Figs. 4 and 10): thresholds and histograms, by model and data set.

The paper says of Fig. 10 that its thresholds come from histograms; the authors' code for it has fixed ones.

Only the published numbers can judge them: a threshold differs from family to family, and the histogram of norms is erratic, to the point that it
finds all units dead where its coarse histogram has exactly one gap.
"""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 3e-4
"""KL in nats below which a unit is dead by any of the histograms."""
RESOLUTION = torch.finfo(torch.float32).eps
"""A KL in nats, or a norm, up to which a unit is dead and no part of a histogram: in float32 it cannot be told from 0, and it may come out negative.

The authors' code has no answer here: the logarithm of such a number, or the lack of one, would stretch the range of the histogram at will.
"""
GAUSSIAN_CIFAR = 0.085
"""KL in nats below which a unit of a Gaussian with a linear encoder is dead on CIFAR patches; elsewhere that is .1.

The authors' code has it under the name that these patches have in the published results, and .1 under their present name: the published counts
decide. The published losses are those of the best posterior with scales of 1 (in closed form a KL of 36.28 and a squared error of 93.5 at the
location; published are 36.29 and 93.3). Along principal axes 116 of its units are above .085 and 115 above .1; published are 116, for `exact` and
each of five seeds. 10,000 steps of `mc` at such scales had 70 units above .085 at step 1,000 and 51 to 27 later, and at most 6 above .1; published
are 52 to 57.
"""
FINE = 10
"""Edges of a fine histogram, for each unit."""
RUN = 2
"""Empty bins of the fine histogram that make a gap, for each unit."""


FIGURE_KL = {"poisson": 0.0082, "gaussian": 0.09, "laplace": 0.08}
"""KL in nats below which a unit is dead in Figs. 4 and 10."""
FIGURE_NORM = {"categorical": 4.435}
"""Norm of its dictionary element below which it is, where units have no KL of their own."""


def needs_norms(family: str, dataset: str, linear_encoder: bool) -> bool:
    """Whether the rule of Table 3 looks at the norms of dictionary elements."""
    return family == "categorical" or (linear_encoder and family not in ("laplace", "gaussian") and (family, dataset) != ("poisson", "mnist"))


def dead_in_figures(family: str, kl: Tensor, norms: Tensor | None) -> Tensor:
    """Which units are dead by the fixed thresholds of Figs. 4 and 10.

    Args:
        family: one of those that have a threshold.
        kl: mean KL of each latent [G] in nats.
        norms: norm of each dictionary element [K], for families whose threshold is one of norms.
    """
    return kl < FIGURE_KL[family] if family in FIGURE_KL else _needed(norms, family) < FIGURE_NORM[family]


def dead_by_rule(family: str, dataset: str, linear_encoder: bool, kl: Tensor, norms: Tensor | None) -> Tensor:
    """Which units are dead; the first rule that fits decides.

    Args:
        family: name of the latent family.
        dataset: name of the data set.
        linear_encoder: whether the encoder is linear.
        kl: mean KL of each latent [G] in nats.
        norms: norm of each dictionary element [K]; None without a linear decoder.

    Raises:
        ValueError: the rule needs norms, and there are none.
    """
    if family == "poisson" and dataset == "mnist":
        return kl < 0.01
    if family in ("laplace", "gaussian") and linear_encoder:
        return kl < (GAUSSIAN_CIFAR if (family, dataset) == ("gaussian", "cifar16") else 0.1)
    if family == "categorical":
        return dead_by_norm(_needed(norms, family), 2)
    if linear_encoder:
        alive = ~dead_by_norm(_needed(norms, family), 8)
        order = kl.argsort()
        first = int(alive[order].nonzero()[0]) if alive.any() else len(kl)
        dead = torch.zeros_like(alive)
        dead[order[:first]] = True
        return dead | (kl < FLOOR)
    return dead_by_kl(kl)


def dead_by_kl(kl: Tensor) -> Tensor:
    """Units below the first gap, from the top, of a fine histogram of ln KL [G], and those below the floor."""
    dead = kl < FLOOR
    told = kl > RESOLUTION
    if told.any():
        x = kl[told].log()
        dead[told] |= x < _gap_below(x, float("inf"))
    return dead


def dead_by_norm(norms: Tensor, fraction: int) -> Tensor:
    """Units beyond gaps in the distribution of the logarithms of norms [K].

    Below the first gap of a fine histogram under the median; and, in a coarse histogram with K / `fraction` edges, below the first gap and above
    the last. An element without a norm is dead.
    """
    told = norms > RESOLUTION
    dead = ~told
    if told.any():
        dead[told] = _beyond_gaps(norms[told].double().log(), fraction)
    return dead


def _beyond_gaps(x: Tensor, fraction: int) -> Tensor:
    dead = x < _gap_below(x, float(x.median()))
    filled, edges = _histogram(x, len(x) // fraction)
    falls = (filled[:-1] & ~filled[1:]).nonzero().flatten()  # a filled bin, then an empty one
    rises = (~filled[:-1] & filled[1:]).nonzero().flatten()
    if len(falls):
        dead |= (x < edges[falls[0] + 1]) | (x > edges[rises[-1] + 1])
    return dead


def _gap_below(x: Tensor, top: float) -> float:
    """The upper end of the first run of 2K empty bins, from `top` down, of a histogram with 10K edges; minus infinity where there is none."""
    filled, edges = _histogram(x.double(), FINE * len(x))
    length = 0
    for index in range(len(filled) - 1, -1, -1):
        if float(edges[index + 1]) > top:
            continue
        length = 0 if filled[index] else length + 1
        if length == RUN * len(x):
            return float(edges[index + length])
    return float("-inf")


def _histogram(x: Tensor, edges: int) -> tuple[Tensor, Tensor]:
    """Which of the bins between evenly spaced edges from the least to the largest value hold any, and the edges."""
    least, largest = float(x.min()), float(x.max())
    if least == largest:
        return torch.tensor([True]), torch.tensor([least, largest])
    lines = torch.linspace(least, largest, max(edges, 2), dtype=torch.float64)
    return torch.histogram(x.double(), lines).hist > 0, lines


def _needed(norms: Tensor | None, family: str) -> Tensor:
    if norms is None:
        raise ValueError(f"the authors' rule for '{family}' needs a linear decoder")
    return norms
