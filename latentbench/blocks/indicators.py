"""Soft indicators of "this arrival came within the unit of time": g((1 - S) / T), from 0 (late) to 1 (early), steeper as T falls.

The Poisson VAE (Vafaii, Galor & Yates 2024, Algorithm 1) takes a sigmoid, which is positive everywhere. "A hitchhiker's guide to Poisson gradient
estimation" (arXiv 2602.03896) adds ramps of u = (1 + (1 - S) / T) / 2, clipped to [0, 1]: they are 1 before 1 - T and 0 from 1 + T on.

    linear   u                      cubic    3 u^2 - 2 u^3
    quintic  6 u^5 - 15 u^4 + 10 u^3    cosine   (1 - cos pi u) / 2

All are odd about S = 1, so for T <= 1 the ramps leave the mean count as it is. Every function here is exact up to rounding, and none draws numbers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

Relaxation = Literal["sigmoid", "linear", "cubic", "quintic", "cosine", "gumbel_softmax"]
"""The relaxations of Poisson counts: soft indicators of arrivals, and the Gumbel-softmax over counts, which has no arrivals."""
Ramp = Callable[[Tensor], tuple[Tensor, Tensor]]
"""u in [0, 1], of which it may dispose, -> the indicator g and dg / du."""


class Indicator(ABC):
    """A soft indicator."""

    @abstractmethod
    def reach(self, temperature: float, dtype: torch.dtype) -> float:
        """The time from which on an arrival counts for nothing."""

    @abstractmethod
    def weigh(self, time: Tensor, temperature: float) -> tuple[Tensor, Tensor, float]:
        """What arrivals at these times count: g, and a pair whose product is -S dg / dS. `time` is overwritten."""

    @abstractmethod
    def value(self, time: Tensor, temperature: float) -> Tensor:
        """g alone, `time` is kept."""


class Sigmoid(Indicator):
    """g = 1 / (1 + e^(-(1 - S) / T)), whose slope -S dg / dS is g (1 - g) S / T."""

    def reach(self, temperature: float, dtype: torch.dtype) -> float:
        """The time 1 + c T with c = 1.25 ln(1 / eps), so 20 in float32 and 45 in float64: later ones count for less than rounding."""
        return 1 - 1.25 * temperature * math.log(torch.finfo(dtype).eps)

    def weigh(self, time: Tensor, temperature: float) -> tuple[Tensor, Tensor, float]:
        """Four passes over `time`."""
        g = self.value(time, temperature)
        time.mul_(g)
        return g, time.addcmul_(time, g, value=-1), 1 / temperature

    def value(self, time: Tensor, temperature: float) -> Tensor:
        """The sigmoid of (1 - S) / T."""
        return torch.mul(time, -1 / temperature).add_(1 / temperature).sigmoid_()


class CompactIndicator(Indicator):
    """g = ramp(u) with u = (1 + T - S) / 2T within [0, 1]: nothing from 1 + T on, and no slope before 1 - T."""

    def __init__(self, ramp: Ramp) -> None:
        self.ramp = ramp

    def reach(self, temperature: float, dtype: torch.dtype) -> float:
        """1 + T, exactly."""
        return 1 + temperature

    def weigh(self, time: Tensor, temperature: float) -> tuple[Tensor, Tensor, float]:
        """As du / dS is -1 / 2T, the slope is g'(u) S / 2T."""
        g, slope = self.ramp(_place(time, temperature))
        return g, time.mul_(slope), 1 / (2 * temperature)

    def value(self, time: Tensor, temperature: float) -> Tensor:
        """The ramp at u."""
        return self.ramp(_place(time, temperature))[0]


def _place(time: Tensor, temperature: float) -> Tensor:
    """u: 0 from 1 + T on, 1 before 1 - T."""
    return torch.sub(1 + temperature, time).mul_(1 / (2 * temperature)).clamp_(0, 1)


def _linear(u: Tensor) -> tuple[Tensor, Tensor]:
    return u, ((u > 0) & (u < 1)).to(u.dtype)


def _cubic(u: Tensor) -> tuple[Tensor, Tensor]:
    return u * u * (3 - 2 * u), 6 * u * (1 - u)


def _quintic(u: Tensor) -> tuple[Tensor, Tensor]:
    return u**3 * (10 + u * (6 * u - 15)), 30 * (u * (1 - u)) ** 2


def _cosine(u: Tensor) -> tuple[Tensor, Tensor]:
    """(1 - cos pi u) / 2 = sin^2(pi u / 2), which does not cancel near 0."""
    angle = u * (math.pi / 2)
    sine = angle.sin()
    return sine * sine, math.pi * sine * angle.cos_().mul_(u < 1)


INDICATORS: Mapping[Relaxation, Indicator] = {
    "sigmoid": Sigmoid(),
    "linear": CompactIndicator(_linear),
    "cubic": CompactIndicator(_cubic),
    "quintic": CompactIndicator(_quintic),
    "cosine": CompactIndicator(_cosine),
}


def reach(temperature: float, dtype: torch.dtype, relaxation: Relaxation = "sigmoid") -> float:
    """The time from which on an arrival counts for nothing; `gumbel_softmax`, which has no arrivals, counts those of the unit of time."""
    return INDICATORS[relaxation].reach(temperature, dtype) if relaxation in INDICATORS else 1.0
