"""What iterative VAEs have in common: natural-gradient steps with learned rates, annealed limits, a learned bias, and a scaled loss."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import Parameter

from latentbench.api import Assembly, IterativeFamily, IterativeOptions, Loss, Options, Step

LIMIT_HOLD, LIMIT_RISE = 0.001, 0.1
"""Shares of the run after which limits begin to rise from their first to their last values, and during which they do."""
FIRST_LOG_BIAS = -3.0
TRAINING = {
    "training.warmup": 0.005,
    "training.weight_decay": 3e-4,
    "training.beta_hold": 0.001,
    "training.beta_anneal": 0.1,
    "likelihood_options.variance": "pixel",
    "decoder_options.init_std": 1e-4,
    "family_options.evaluation_steps": 1000,
}
"""How all of them were trained and tested (the authors' code); epochs, batches and rates are those of the data set."""


class NaturalGradientOptions(IterativeOptions):
    """Options of all iterative VAEs."""

    loss_pixels: float | None = Field(
        256.0, gt=0, description="Training's loss is multiplied by this number over the pixels M, as published, which gradient clipping depends on."
    )


class NaturalGradientFamily(IterativeFamily):
    """Base of the iterative VAEs (Vafaii, Galor & Yates 2025).

    With G = -d ln p(image | x) / dx at a draw x of q_{t-1}, each of its `states` variables moves against a learned rate e^(ln eta) times its natural
    gradient; e^b, a learned bias of each unit, pulls the first variable down. Updates and states are limited, at first more tightly.
    """

    options_model: ClassVar[type[Options]] = NaturalGradientOptions
    states: ClassVar[int] = 1

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, NaturalGradientOptions)
        self.log_bias = Parameter(torch.full((self.latent_dim,), FIRST_LOG_BIAS))
        self.log_eta = Parameter(torch.zeros(self.states))
        self.loss_scale = 1.0 if options.loss_pixels is None else options.loss_pixels / math.prod(assembly.data_shape)

    @property
    def eta(self) -> tuple[Tensor, ...]:
        """The rate of each variable, scalars."""
        return self.log_eta.exp().unbind()

    def loss(self, step: Step) -> Loss:
        """The free energy at the step's KL weight, a mean over steps and images, times `loss_pixels` / M."""
        loss = super().loss(step)
        return Loss(self.loss_scale * loss.surrogate, loss.reported)


def annealed(first: float, last: float, progress: float) -> float:
    """A limit at a share `progress` of the run: `first`, then linearly up to `last`, which it has from 10.1 % on."""
    share = min(max((progress - LIMIT_HOLD) / LIMIT_RISE, 0.0), 1.0)
    return first + (last - first) * share
