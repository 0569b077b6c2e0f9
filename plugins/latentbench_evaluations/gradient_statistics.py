"""Means of noisy gradients against an exact or a longer-run one: squared bias without the noise's own part, variance, cosines, energies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

BLOCKS = 10
"""Of the jackknife: statistics without one block of draws after the other have the standard error."""
NO_VARIANCE = 1e-12
"""A variance below this share of the squared gradient is rounding."""


@dataclass
class Draws:
    """Sums over N draws of g - center, in blocks; g and center are flat gradients [P] in float64.

    The mean of N draws has, but for its bias, a squared distance of trace(Sigma) / N from what it estimates. `bias` is therefore the mean over pairs
    of different draws of their differences' product, which has no such floor, and may be negative.
    """

    center: Tensor
    keep: int = 0
    sums: Tensor = field(init=False)
    squares: Tensor = field(init=False)
    counts: Tensor = field(init=False)
    cosines: list[float] = field(default_factory=list)
    kept: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sums = self.center.new_zeros(BLOCKS, len(self.center))
        self.squares, self.counts = self.center.new_zeros(BLOCKS), self.center.new_zeros(BLOCKS)

    def add(self, gradient: Tensor) -> None:
        """Take in a draw [P]."""
        block, difference = len(self.cosines) % BLOCKS, gradient - self.center
        self.sums[block] += difference
        self.squares[block] += difference.square().sum()
        self.counts[block] += 1
        self.cosines.append(cosine(gradient, self.center))
        if len(self.kept) < self.keep:
            self.kept.append(difference)

    @property
    def n(self) -> int:
        """How many draws."""
        return len(self.cosines)

    @property
    def mean(self) -> Tensor:
        """Mean of g - center [P]."""
        return self.sums.sum(0) / self.n

    def bias(self) -> tuple[float, float]:
        """|E g - center|^2, without the floor, and its standard error."""
        return self._jackknifed(lambda total, squares, n: (total.square().sum() - squares) / (n * (n - 1)))

    def variance(self) -> tuple[float, float]:
        """trace(Sigma), the variance of one draw summed over parameters, and its standard error."""
        return self._jackknifed(lambda total, squares, n: (squares - total.square().sum() / n) / (n - 1))

    def _jackknifed(self, statistic: Callable[[Tensor, Tensor, Tensor], Tensor]) -> tuple[float, float]:
        total, squares, n = self.sums.sum(0), self.squares.sum(), self.counts.sum()
        without = [statistic(total - s, squares - q, n - c) for s, q, c in zip(self.sums, self.squares, self.counts, strict=True)]
        spread = torch.stack(without).var(correction=0) * (BLOCKS - 1)
        return float(statistic(total, squares, n)), float(spread.sqrt())


@dataclass(frozen=True)
class Value:
    """A number with its standard error over n draws; both None where it has none."""

    value: float
    error: float | None = None
    n: int | None = None


def statistics(draws: Draws, reference_error: float, curvature: Callable[[Tensor], Tensor] | None) -> Iterator[tuple[str, Value]]:
    """What is said of an estimator in one group of parameters, as shares of the reference's squared norm.

    Args:
        draws: around the reference.
        reference_error: the squared error of the reference, trace(Sigma) / N of its own draws; 0 if it is exact.
        curvature: the Hessian of the exact loss times a vector [P]; None where there is no exact one.
    """
    center, n = draws.center, draws.n
    size = float(center.square().sum()) - reference_error
    if size <= 0:
        return  # nothing is known of a gradient that is smaller than its error
    (bias, bias_error), (variance, variance_error) = draws.bias(), draws.variance()
    unsure = reference_error + 2 * math.sqrt(max(bias - reference_error, 0.0) * reference_error)
    yield "bias", Value((bias - reference_error) / size, math.hypot(bias_error, unsure) / size, n)
    yield "bias_floor", Value(max(variance, 0.0) / n / size)
    yield "reference_error", Value(reference_error / size)
    yield "variance", Value(variance / size, variance_error / size, n)
    if variance > NO_VARIANCE * (size + abs(bias)):
        yield "snr", Value(size / variance, size * variance_error / variance**2, n)
    cosines = torch.tensor(draws.cosines, dtype=torch.float64)
    yield "cosine", Value(float(cosines.mean()), float(cosines.std()) / math.sqrt(n), n)
    yield "mean_cosine", Value(cosine(draws.mean + center, center))
    if curvature is not None:
        yield from _energies(draws, curvature)


def _energies(draws: Draws, curvature: Callable[[Tensor], Tensor]) -> Iterator[tuple[str, Value]]:
    """b' H b and trace(H Sigma) over g*' H g*; the second from the first draws alone."""
    size = float(draws.center @ curvature(draws.center))
    if size == 0:
        return
    mean = draws.mean
    noise = torch.tensor([float((d - mean) @ curvature(d - mean)) for d in draws.kept], dtype=torch.float64) / (1 - 1 / draws.n) / size
    yield "noise_energy", Value(float(noise.mean()), float(noise.std()) / math.sqrt(len(noise)), len(noise))
    yield "bias_energy", Value(float(mean @ curvature(mean)) / size - float(noise.mean()) / draws.n)


def cosine(one: Tensor, other: Tensor) -> float:
    """The cosine between two vectors, 0 where one has no length."""
    lengths = float(one.norm() * other.norm())
    return float(one @ other) / lengths if lengths else 0.0
