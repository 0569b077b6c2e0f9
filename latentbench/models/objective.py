"""What an objective (a gradient estimator, or a family that trains itself) is given at a training step, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Generator, Tensor, nn

from latentbench.models.codes import Code, Posterior
from latentbench.models.likelihood import Likelihood


class HasPrior(Protocol):
    """The family, as a step sees it."""

    def prior(self, batch: int) -> Posterior | None:
        """p(z), repeated `batch` times."""
        ...


@dataclass(frozen=True)
class Step:
    """One training step. B images of M pixels, K latent dimensions, S samples an image where they are asked for.

    `images` [B, C, H, W]; `code` is differentiable in the parameters of encoder and family; `decoder` maps [B, K] to [B, C, H, W]; `beta` is
    the KL weight now; `temperature` that of the relaxation now, and `temperature_is_final` says that annealing is over; `generator` is the
    run's stream of sampling noise. Methods take codes [..., B, K] with any leading dimensions.
    """

    images: Tensor
    code: Code
    family: HasPrior
    decoder: nn.Module
    likelihood: Likelihood
    beta: float
    temperature: float
    temperature_is_final: bool
    generator: Generator

    @property
    def posterior(self) -> Posterior:
        """The code of an amortised family."""
        return cast("Posterior", self.code)

    @property
    def prior(self) -> Posterior:
        """p(z), repeated for the B images, of an amortised family."""
        return cast("Posterior", self.family.prior(len(self.images)))

    def rsample(self, n: int | None = None) -> Tensor:
        """A differentiable sample an image at the temperature now [B, K], or `n` of them [n, B, K]."""
        if n is None:
            return self.posterior.rsample(self.temperature, self.generator)
        return torch.stack([self.posterior.rsample(self.temperature, self.generator) for _ in range(n)])

    def sample(self, n: int | None = None) -> Tensor:
        """A true sample an image, without gradient [B, K], or `n` of them [n, B, K]."""
        if n is None:
            return self.code.sample(self.generator)
        return torch.stack([self.code.sample(self.generator) for _ in range(n)])

    def decode(self, z: Tensor) -> Tensor:
        """What the decoder gives for codes [..., B, K]: [..., B, C, H, W]."""
        decoded: Tensor = self.decoder(z.flatten(0, -2))
        return decoded.reshape(*z.shape[:-1], *decoded.shape[1:])

    def reconstruction(self, z: Tensor) -> Tensor:
        """The likelihood's cost of the images at codes [..., B, K], in nats [..., B]."""
        images = self.images.expand(*z.shape[:-1], *self.images.shape[1:]).flatten(0, z.ndim - 2)
        return self.likelihood.reconstruction(images, self.decoder(z.flatten(0, -2))).reshape(z.shape[:-1])

    def log_q(self, z: Tensor) -> Tensor:
        """ln q(z | x) of true samples [..., B, K], in nats [..., B]."""
        return self.posterior.log_prob(z).sum(-1)

    def log_p(self, z: Tensor) -> Tensor:
        """ln p(z) of true samples [..., B, K], in nats [..., B]."""
        return self.prior.log_prob(z).sum(-1)

    def kl(self) -> Tensor:
        """KL(q || p), summed over latents, in nats [B]."""
        return self.posterior.kl(self.generator).sum(1)


@dataclass(frozen=True)
class Loss:
    """`surrogate` (scalar) is differentiated, and means nothing else; `reported` are costs per image [B], detached, that go to the history."""

    surrogate: Tensor
    reported: Mapping[str, Tensor]


class Objective(Protocol):
    """What the training loop calls at every step: a gradient estimator, or a family that needs none."""

    def loss(self, step: Step) -> Loss:
        """The surrogate whose gradient trains the model, and what it costs."""
        ...
