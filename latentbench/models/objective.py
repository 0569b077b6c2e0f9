"""What a gradient estimator, or an iterative family, is given at a training step, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from torch import Generator, Tensor, nn

from latentbench.models.codes import Code, Posterior

if TYPE_CHECKING:
    from latentbench.models.family import AmortisedFamily, Family
    from latentbench.models.likelihood import Likelihood


@dataclass(frozen=True)
class Step:
    """One training step. B images of M pixels, K latent dimensions.

    `images` [B, 1, H, W]; `code` is differentiable in the parameters of encoder and family; `decoder` maps [B, K] to [B, 1, H, W]; `beta` is
    the KL weight now; `temperature` that of the relaxation now, and `temperature_is_final` says that annealing is over; `generator` is the
    run's stream of sampling noise.
    """

    images: Tensor
    code: Code
    family: Family
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
        return cast("AmortisedFamily", self.family).prior(len(self.images))


@dataclass(frozen=True)
class Loss:
    """`surrogate` (scalar) is differentiated, and means nothing else; `reported` are costs per image [B], detached, that go to the history."""

    surrogate: Tensor
    reported: Mapping[str, Tensor]


class Objective(Protocol):
    """What the training loop calls at every step: a gradient estimator, or an iterative family."""

    def loss(self, step: Step) -> Loss:
        """The surrogate whose gradient trains the model, and what it costs."""
        ...
