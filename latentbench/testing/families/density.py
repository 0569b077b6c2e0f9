"""The law that a posterior's samples and its log_prob say, held against each other: by summation where samples are discrete, else by quadrature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Generator, Tensor

from latentbench.models.codes import Posterior
from latentbench.testing.law import InapplicableError

NODES, WEIGHTS = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(12))
"""Of Gauss-Legendre quadrature on [-1, 1]."""
PANELS = 200
MIN_ATOM = 0.005
"""Share of the samples that equal one value from which that value is an atom, rather than a coincidence of rounding."""


def is_discrete(z: Tensor) -> bool:
    """Whether samples are whole numbers throughout."""
    return bool((z == z.round()).all())


def columns(density: Posterior, values: Tensor) -> Tensor:
    """ln q at the values [S, K] of a posterior of one row, each dimension at its own: [S, G]."""
    return density.log_prob(values[:, None, :])[:, 0]


def probabilities(density: Posterior, z: Tensor) -> Tensor | None:
    """The probabilities q of everything that discrete samples `z` [N, K] may be: of categories [C, G], or whole numbers [S, K]; None for others."""
    if density.log_prob(z[:1]).shape[-1] != z.shape[1]:
        return columns(density, one_hots(density, z)).exp()
    return columns(density, counts(z)).exp() if is_discrete(z) else None


def places(fresh: Tensor, z: Tensor, latents: int) -> Tensor:
    """Which row of `probabilities(density, z)` each discrete sample [N', K] is: [N', G]."""
    if latents != z.shape[1]:
        grouped: Tensor = fresh.unflatten(1, (latents, -1))
        return grouped.argmax(-1)
    values = counts(z)
    return (fresh - values[0]).long().clamp(0, len(values) - 1)


def one_hots(density: Posterior, z: Tensor) -> Tensor:
    """Every category, in all groups of dimensions at once [C, K].

    Raises:
        InapplicableError: latents are groups of dimensions, and samples are not one-hot vectors.
    """
    groups = density.log_prob(z[:1]).shape[-1]
    size = z.shape[1] // groups
    grouped: Tensor = z.unflatten(1, (groups, size))
    if not (is_discrete(z) and bool((grouped.sum(-1) == 1).all()) and bool((grouped >= 0).all())):
        raise InapplicableError(f"its latents are {groups} groups of {size} dimensions, and samples are not one-hot vectors: no quadrature is made")
    every: Tensor = torch.eye(size, dtype=z.dtype, device=z.device).repeat(1, groups)
    return every


def counts(z: Tensor) -> Tensor:
    """Whole numbers [S, K] that hold, in every dimension, all that samples `z` [N, K] show and as much again on either side."""
    low, high = z.min(0).values, z.max(0).values
    reach = (high - low).max() + 30
    start = (low - reach).where(low < 0, (low - reach).clamp(min=0))
    return start + torch.arange(float(3 * reach + 1), dtype=z.dtype, device=z.device)[:, None]


@dataclass(frozen=True)
class Quadrature:
    """The distribution function of each of K scalar latents by Gauss-Legendre quadrature of a density that has atoms, between quantiles of samples.

    `density` is a posterior of one row, and `z` [N, K] samples of it.
    """

    density: Posterior
    z: Tensor

    @cached_property
    def edges(self) -> Tensor:
        """Panels between order statistics [P + 1, K]: PANELS of equal mass, and ever thinner ones in the tails, where a density may change fast."""
        n = len(self.z)
        powers = [2**i for i in range(int(np.log2(n)))]
        ranks = sorted({0, n - 1, *powers, *(n - 1 - power for power in powers), *np.linspace(0, n - 1, PANELS + 1).astype(int)})
        return self.z.sort(0).values[[int(rank) for rank in ranks]]

    @cached_property
    def atoms(self) -> list[list[float]]:
        """The values that have mass, for each dimension."""
        found = []
        for column in self.z.T:
            values, times = column.unique(return_counts=True)
            found.append([float(value) for value in values[times > MIN_ATOM * len(column)]])
        return found

    def atom_mass(self, k: int, value: float) -> float:
        """The probability q(value) of an atom in dimension k."""
        at = self.z[:1].clone()
        at[0, k] = value
        return float(columns(self.density, at)[0, k].exp())

    def between(self, low: Tensor, high: Tensor) -> Tensor:
        """The mass of the density in the intervals [low, high], all [P, K]."""
        half = (high - low) / 2
        nodes = (low + half)[None] + half[None] * NODES.to(low)[:, None, None]  # [nodes, P, K]
        values = columns(self.density, nodes.flatten(0, 1)).unflatten(0, nodes.shape[:2]).exp()
        return half * torch.einsum("n,npk->pk", WEIGHTS.to(low), values.where(half[None] > 0, 0.0))

    @cached_property
    def panels(self) -> Tensor:
        """The mass of every panel [P, K]."""
        return self.between(self.edges[:-1], self.edges[1:])

    def total(self) -> Tensor:
        """The mass between the smallest and the largest sample, and of the atoms [K]."""
        atoms = [sum(self.atom_mass(k, value) for value in values) for k, values in enumerate(self.atoms)]
        return self.panels.sum(0) + torch.tensor(atoms, dtype=self.z.dtype, device=self.z.device)

    def transform(self, z: Tensor, generator: Generator) -> Tensor:
        """The probability integral transform of other samples z [N', K], randomised at atoms: uniform on [0, 1] where they have this density."""
        inside = torch.minimum(torch.maximum(z, self.edges[0]), self.edges[-1])
        place = (torch.searchsorted(self.edges.T.contiguous(), inside.T.contiguous(), right=True).T - 1).clamp(0, len(self.edges) - 2)
        before = torch.cat([torch.zeros_like(self.panels[:1]), self.panels.cumsum(0)]).gather(0, place)
        found = before + self.between(self.edges.gather(0, place), inside)
        coin = torch.rand(z.shape, generator=generator, dtype=z.dtype, device=z.device)
        for k, values in enumerate(self.atoms):
            for value in values:
                found[:, k] += self.atom_mass(k, value) * ((z[:, k] > value) + coin[:, k] * (z[:, k] == value))
        return found
