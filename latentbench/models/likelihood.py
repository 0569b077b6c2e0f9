"""Likelihoods p(x | z): what a decoded image says about pixels."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from latentbench.part import Part


class Likelihood(Part, ABC):
    """Base of all likelihoods. `decoded` is what the decoder gives [B, 1, H, W]."""

    quadratic: ClassVar[bool] = False
    """Whether `reconstruction` is the squared error of `decoded` itself, so that a linear decoder has its expectation in closed form."""

    @abstractmethod
    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """-ln p(x | z) in nats [B], less what does not depend on z. Called by estimators and by families' costs."""

    @abstractmethod
    def mean(self, decoded: Tensor) -> Tensor:
        """E[x | z], [B, 1, H, W]. Called by evaluations for squared errors and pictures."""
