"""Stimuli of physiology: gratings of every orientation, frequency and phase, and white noise, at the mean and contrast of given images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

HIGHEST = 0.45
"""Largest spatial frequency of gratings, in cycles per pixel; along an axis .5 is the limit of what pixels show."""


@dataclass(frozen=True)
class Screen:
    """What stimuli are shown on: images [1, H, W] of a mean and a standard deviation of pixels, within limits where pixels have some."""

    height: int
    width: int
    mean: float
    deviation: float
    limits: tuple[float, float] | None = None

    @classmethod
    def like(cls, images: Tensor, contrast: float, limits: tuple[float, float] | None) -> Screen:
        """A screen with the mean of all pixels of images [N, 1, H, W], and `contrast` times their standard deviation."""
        pixels = images.double()
        return cls(images.shape[-2], images.shape[-1], float(pixels.mean()), contrast * float(pixels.std(correction=0)), limits)

    @property
    def amplitude(self) -> float:
        """Of a grating with the standard deviation: sqrt(2) times it, less where pixels would be beyond their limits."""
        room = math.inf if self.limits is None else min(self.mean - self.limits[0], self.limits[1] - self.mean)
        return min(math.sqrt(2) * self.deviation, room)

    def blank(self) -> Tensor:
        """The mean alone [1, 1, H, W]."""
        return torch.full((1, 1, self.height, self.width), self.mean)

    def gratings(self, orientation: float, frequencies: Tensor, phases: Tensor) -> Tensor:
        """cos(2 pi f u - phase) along the wave vector u from the centre, [F P, 1, H, W] with the phases of a frequency one after the other.

        Args:
            orientation: angle of the wave vector with the x axis, in radians.
            frequencies: cycles per pixel [F].
            phases: radians [P].
        """
        rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in (self.height, self.width)), indexing="ij")
        u = columns * math.cos(orientation) + rows * math.sin(orientation)
        wave = torch.cos(2 * math.pi * frequencies.double()[:, None, None, None] * u - phases.double()[None, :, None, None])
        return (self.mean + self.amplitude * wave).flatten(0, 1).unsqueeze(1).float()

    def noise(self, n: int, generator: Generator) -> Tensor:
        """Gaussian white noise [n, 1, H, W], cut off at the limits."""
        pixels = self.mean + self.deviation * torch.randn(n, 1, self.height, self.width, generator=generator)
        return pixels if self.limits is None else pixels.clamp(*self.limits)

    def frequencies(self, n: int) -> Tensor:
        """Frequencies [n] from one cycle along the longer side to the largest, equally spaced in octaves."""
        return torch.logspace(math.log2(1 / max(self.height, self.width)), math.log2(HIGHEST), n, base=2, dtype=torch.float64)
