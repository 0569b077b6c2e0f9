"""Likelihoods p(x | z): what a decoded image says about pixels."""

from abc import ABC, abstractmethod

from torch import Tensor

from latentbench.part import Options, Part


class Likelihood(Part, ABC):
    """Base of all likelihoods. `decoded` is what the decoder gives [B, 1, H, W]."""

    @classmethod
    def numbers(cls, options: Options) -> int:
        """How many numbers a pixel the decoder gives; those of all pixels come one after the other in the first side of `decoded`."""
        return 1

    @classmethod
    def is_quadratic(cls, options: Options) -> bool:
        """Whether `reconstruction` is the squared error of `decoded` itself, so that a linear decoder has its expectation in closed form."""
        return False

    @abstractmethod
    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """-ln p(x | z) in nats [B], less what does not depend on z. Called by estimators and by families' costs."""

    @abstractmethod
    def mean(self, decoded: Tensor) -> Tensor:
        """E[x | z], [B, 1, H, W]. Called by evaluations for squared errors and pictures."""
