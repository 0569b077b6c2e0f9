"""A model at a checkpoint and one fixed batch, in float64: gradients of an estimator's loss, by group of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Generator, Tensor, nn

from latentbench.api import Estimator, Family, Inference, Likelihood, Step, Trained, UserError

FIT_RATE = 0.01
"""Learning rate of Adam for the state of an estimator."""
STEP = 1e-4
"""Length of the step of finite differences, as a share of the parameters' norm."""

Gradients = Mapping[str, Tensor]
"""Flat gradients [P] by group of parameters, in float64."""


@dataclass(frozen=True)
class At:
    """What the loss is taken at: the temperature of relaxed samples, and the KL weight."""

    temperature: float
    beta: float


@dataclass(frozen=True)
class Scene:
    """What gradients are taken of: the parts of a model and a batch of B images, after the share `progress` of the training.

    `noise` is the stream of all draws. The modules are copies in float64, in eval mode.
    """

    family: Family
    encoder: nn.Module
    decoder: nn.Module
    likelihood: Likelihood
    images: Tensor
    at: At
    progress: float
    noise: Generator

    @classmethod
    def of(cls, trained: Trained, images: Tensor, share: float, noise: Generator, family_options: Mapping[str, Any], at: At) -> Scene:
        """The scene at a model that was read from a checkpoint.

        Raises:
            UserError: the networks compute in bfloat16, or an option of the family is wrong.
        """
        model = trained.model
        if model.family.product_dtype is not None:
            raise UserError("gradients are compared in float32 or better, and the networks of this run compute in bfloat16")
        family = trained.varied("family", family_options) if family_options else model.family
        parts = {"family": family, "encoder": model.encoder, "decoder": model.decoder, "likelihood": model.likelihood}
        copies: dict[str, Any] = {name: deepcopy(cast("nn.Module", part)).double().eval() for name, part in parts.items()}
        return cls(**copies, images=images.to(model.device, torch.float64), at=at, progress=share, noise=noise)

    @cached_property
    def groups(self) -> Mapping[str, list[nn.Parameter]]:
        """The trained parameters of encoder, decoder and prior; groups without any are left out."""
        modules = {"encoder": self.encoder, "decoder": self.decoder, "prior": self.family}
        found = {name: [p for p in module.parameters() if p.requires_grad] for name, module in modules.items()}
        return {name: parameters for name, parameters in found.items() if parameters}

    def loss(self, estimator: Estimator, copies: int = 1) -> Tensor:
        """The surrogate of an estimator on the batch, or on several copies of it."""
        images = self.images.repeat(copies, *[1] * (self.images.ndim - 1))
        inference = Inference(self.encoder, self.decoder, self.likelihood, self.noise, self.at.temperature, self.progress)
        code = self.family.encode(images, inference)
        step = Step(images, code, self.family, self.decoder, self.likelihood, self.at.beta, self.at.temperature, True, self.noise)
        return estimator.loss(step).surrogate

    def gradients(self, estimator: Estimator, copies: int = 1) -> Gradients:
        """One draw of the gradient of every group."""
        parameters = [p for group in self.groups.values() for p in group]
        found = iter(torch.autograd.grad(self.loss(estimator, copies), parameters, allow_unused=True, materialize_grads=True))
        return {name: torch.cat([next(found).flatten() for _ in group]) for name, group in self.groups.items()}

    def curvature(self, exact: Estimator, group: str) -> Callable[[Tensor], Tensor]:
        """The group's block of the Hessian times a vector [P], by central differences of the gradient of a loss without noise."""
        parameters = self.groups[group]
        start = nn.utils.parameters_to_vector(parameters).detach()

        def gradient_at(point: Tensor) -> Tensor:
            nn.utils.vector_to_parameters(point, parameters)
            return self.gradients(exact)[group]

        def product(vector: Tensor) -> Tensor:
            length = float(vector.norm())
            if length == 0:
                return torch.zeros_like(vector)
            step = STEP * (STEP + float(start.norm())) / length
            found = (gradient_at(start + step * vector) - gradient_at(start - step * vector)) / (2 * step)
            nn.utils.vector_to_parameters(start.clone(), parameters)
            return found

        return product

    def fit(self, estimator: Estimator, steps: int) -> None:
        """Train the state of an estimator's own, if it has any, on the batch; the model stays as it is."""
        if not estimator.state_dict():
            return
        estimator.train()
        own = [p for p in estimator.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(own, FIT_RATE) if own else None
        for _ in range(steps):
            loss = self.loss(estimator)
            if optimizer is not None:
                for parameter, gradient in zip(own, torch.autograd.grad(loss, own), strict=True):
                    parameter.grad = gradient
                optimizer.step()
        estimator.eval()
