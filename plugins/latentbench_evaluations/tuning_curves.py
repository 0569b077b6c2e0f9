"""What is read from responses to gratings: harmonics over phase, and preferred values, widths and circular variance of tuning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

HEIGHT = 1 / math.sqrt(2)
"""Share of the peak at which widths are measured (Ringach, Shapley & Hawken 2002)."""


def harmonics(responses: Tensor) -> tuple[Tensor, Tensor]:
    """F0, the mean over phases, and F1, the amplitude of the first harmonic, of responses [..., P, K] at P even phases of a cycle: both [..., K]."""
    n = responses.shape[-2]
    angle = 2 * math.pi * torch.arange(n, dtype=responses.dtype)
    cosine, sine = ((responses * wave(angle / n)[:, None]).sum(-2) for wave in (torch.cos, torch.sin))
    return responses.mean(-2), torch.hypot(cosine, sine) * 2 / n


def tuned(curves: Tensor, frequencies: Tensor) -> Mapping[str, Tensor]:
    """What tuning over O even orientations of half a turn and F frequencies, equally spaced in octaves, prefers and how sharp it is: each [K].

    `preferred_orientation` in degrees of [0, 180) and `preferred_frequency` in cycles per pixel are the peak, between the grid's points by parabolas.
    `orientation_half_width` (degrees) and `frequency_width` (octaves) are measured at 1 / sqrt 2 of the grid's peak, on the curves through it: half
    the distance, and the distance, of the crossings on both sides, and not a number where a side has none. `circular_variance` is
    1 - |sum r e^(2 i theta)| / sum r over orientations, of responses above 0.

    Args:
        curves: responses [O, F, K].
        frequencies: [F].
    """
    orientations, n, units = curves.shape
    best = curves.flatten(0, 1).argmax(0)
    row, column, unit = best // n, best % n, torch.arange(units)
    over_orientation, over_frequency = curves[:, column, unit], curves[row, :, unit].T  # [O, K], [F, K]
    octave = float(torch.log2(frequencies[1] / frequencies[0])) if n > 1 else 0.0
    turned = torch.stack([over_orientation[(row + step) % orientations, unit] for step in range(-(orientations // 2), (orientations + 1) // 2)])
    sides = crossings(turned, torch.full_like(row, orientations // 2)), crossings(over_frequency, column)
    step = 180 / orientations
    return {
        "preferred_orientation": (step * (row + summit(turned, torch.full_like(row, orientations // 2)))) % 180,
        "preferred_frequency": frequencies[column] * 2 ** (octave * summit(over_frequency, column)),
        "orientation_half_width": step * (sides[0][0] + sides[0][1]) / 2,
        "frequency_width": octave * (sides[1][0] + sides[1][1]),
        "circular_variance": circular_variance(over_orientation),
    }


def circular_variance(curve: Tensor) -> Tensor:
    """1 - |sum r e^(2 i theta)| / sum r of responses [O, K] above 0 at O even orientations of half a turn; not a number where there is none."""
    rates = curve.clamp(min=0)
    angle = 2 * math.pi * torch.arange(len(rates), dtype=rates.dtype)[:, None] / len(rates)
    length = torch.hypot((rates * angle.cos()).sum(0), (rates * angle.sin()).sum(0))
    return 1 - length / rates.sum(0)


def summit(curve: Tensor, peak: Tensor) -> Tensor:
    """How far from a peak [K] of curves [L, K], in grid steps, the parabola through it and its neighbours is highest; 0 at an end."""
    unit, inside = torch.arange(curve.shape[1]), (peak > 0) & (peak < len(curve) - 1)
    at = peak.clamp(1, max(len(curve) - 2, 1))
    if len(curve) < 3:
        return torch.zeros(curve.shape[1], dtype=curve.dtype)
    left, middle, right = (curve[at + step, unit] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    return torch.where(inside & (bend < 0), (left - right) / (2 * bend).where(bend < 0, 1.0), 0.0)


def crossings(curve: Tensor, peak: Tensor) -> tuple[Tensor, Tensor]:
    """How far below and above their peaks [K] curves [L, K], linear between grid points, first fall to `HEIGHT` of it; not a number where never."""
    return _fall(curve.flip(0), len(curve) - 1 - peak), _fall(curve, peak)


def _fall(curve: Tensor, peak: Tensor) -> Tensor:
    unit = torch.arange(curve.shape[1])
    level, found = HEIGHT * curve[peak, unit], torch.full((curve.shape[1],), torch.nan, dtype=curve.dtype)
    for step in range(1, len(curve)):
        at = peak + step
        inside = at < len(curve)
        before, here = (curve[(at - back).clamp(max=len(curve) - 1), unit] for back in (1, 0))
        first = inside & found.isnan() & (here <= level) & (level > 0)
        found = torch.where(first, step - 1 + (before - level) / (before - here).where(first, 1.0), found)
    return found
