"""Receptive fields by reverse correlation, and the Gabor functions that they resemble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple

import torch
from torch import Generator, Tensor

from latentbench_evaluations.gabor import GaborFit, fit_gabor
from latentbench_evaluations.gratings import Screen


def triggered_average(respond: Callable[[Tensor], Tensor], screen: Screen, n: int, batch: int, generator: Generator) -> Tensor:
    """The spike-triggered average of units [K, H, W] in white noise: the covariance of responses and pixels over the variance of these.

    For a linear unit it is the filter, for a function of a linear one a multiple of it (Bussgang), up to noise of the variance Var r / (n sigma^2).

    Args:
        respond: gives the responses [B, K] to images [B, 1, H, W].
        screen: what the noise is shown on.
        n: images of noise.
        batch: images that are shown at once.
        generator: the stream of the noise.
    """
    products, total, pixels = (torch.zeros(1, dtype=torch.float64) for _ in range(3))
    for start in range(0, n, batch):
        noise = screen.noise(min(batch, n - start), generator)
        responses, centred = respond(noise).double(), (noise - screen.mean).double().flatten(1)
        products = products + responses.T @ centred
        total, pixels = total + responses.sum(0), pixels + centred.sum(0)
    average: Tensor = (products / n - torch.outer(total / n, pixels / n)) / screen.deviation**2
    return average.reshape(-1, screen.height, screen.width)


def fits_of(fields: Tensor) -> tuple[list[GaborFit], Tensor]:
    """The Gabor function of each receptive field [K, H, W], and their parameters [K, 9] as `GaborFit` has them."""
    fits = [fit_gabor(field) for field in fields.double().numpy()]
    return fits, torch.tensor([astuple(fit) for fit in fits], dtype=torch.float64)
