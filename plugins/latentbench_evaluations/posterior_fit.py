"""Posteriors of a family that are optimised image by image, and encoders that are trained on with the exact gradient."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from latentbench.api import Trained
from latentbench_evaluations.posterior_elbo import Elbo

LEAST_RATE = 0.01
"""The share of the learning rate that a cosine ends at."""


@dataclass(frozen=True)
class Fit:
    """How features are optimised: steps of Adam, its learning rate, which falls as a cosine, and samples a step where they are needed."""

    steps: int
    learning_rate: float
    draws: int


def optimised(trained: Trained, images: Tensor, features: Tensor, fit: Fit, generator: Generator) -> Tensor:
    """Features [B, F] whose posterior has the largest evidence lower bound of each image, found from the encoder's `features` on.

    In closed form each image keeps the best features of all steps, the encoder's among them. Otherwise it keeps those after the last step, unless
    the encoder's are better on samples of their own: which of the two is not chosen by the samples that measure it later.
    """
    elbo, moving = Elbo(trained, images, fit.draws), features.clone().requires_grad_()
    best, value = features, torch.full((len(images),), -math.inf, dtype=torch.float64, device=images.device)
    optimiser = torch.optim.Adam([moving], lr=fit.learning_rate)
    for step in range(fit.steps):
        surrogate = elbo.surrogate(moving, generator)
        if elbo.exact:  # the surrogate is the bound itself
            best, value = _better(best, value, moving.detach(), surrogate.detach())
        _descend(optimiser, surrogate, moving, fit, step)
    if not elbo.exact:
        return _selected(elbo, features, moving.detach(), fit, generator)
    with torch.no_grad():
        return _better(best, value, moving.detach(), elbo.at(moving, generator))[0]


def _descend(optimiser: torch.optim.Optimizer, surrogate: Tensor, moving: Tensor, fit: Fit, step: int) -> None:
    """One step of Adam for the features alone: no gradient reaches the model."""
    moving.grad = torch.autograd.grad(-surrogate.sum(), moving)[0]
    _step(optimiser, fit.learning_rate * annealed(step / fit.steps))


def annealed(progress: float) -> float:
    """A half cosine from 1 to `LEAST_RATE`."""
    return LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * progress)) / 2


def _better(best: Tensor, value: Tensor, other: Tensor, of_other: Tensor) -> tuple[Tensor, Tensor]:
    """Image by image the features with the larger bound."""
    gains = of_other > value  # not where it is not a number
    return torch.where(gains[:, None], other, best), torch.where(gains, of_other, value)


def _selected(elbo: Elbo, features: Tensor, moved: Tensor, fit: Fit, generator: Generator) -> Tensor:
    """The features after the last step, or the encoder's where these are better on ten times as many samples."""
    judge, seed = replace(elbo, draws=10 * fit.draws), int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.no_grad():
        values = [judge.at(candidate, torch.Generator(generator.device).manual_seed(seed)) for candidate in (features, moved)]
    return _better(features, values[0], moved, values[1])[0]


def refitted(trained: Trained, encoder: nn.Module, steps: int, generator: Generator, batch: int = 100, learning_rate: float = 2e-3) -> nn.Module:
    """A copy of the encoder, trained on for `steps` with the exact gradient of the bound on training images; decoder and prior stay.

    Only for a bound in closed form. Modules stay in eval mode: running statistics are those of the training. A step whose gradient is not finite, as
    where the exponential of an exponential overflows, is not taken.
    """
    copy, images = deepcopy(encoder), trained.splits["train"].images
    parameters = [parameter for parameter in copy.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=learning_rate)
    for step in range(steps):
        places = torch.randint(len(images), (min(batch, len(images)),), generator=generator, device=generator.device).to(images.device)
        some = images[places].to(trained.model.device, trained.model.dtype)
        gradients = torch.autograd.grad(-Elbo(trained, some, 1).at(copy(some), generator).mean(), parameters)
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            continue
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        _step(optimiser, learning_rate * annealed(step / steps))
    return copy


def _step(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """A step of Adam at a rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()
