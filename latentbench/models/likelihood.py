"""Likelihoods p(x | z): what decoded numbers say about the values of an item."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from latentbench.part import Assembly, Options, Part


class Likelihood(Part, nn.Module, ABC):
    """Base of all likelihoods. `images` are items [B, C, H, W], or [B, M]; `decoded` is what the decoder gives, `numbers` times as much.

    A likelihood is a module: its parameters (a learned variance) are trained and checkpointed with the model's. A run builds one, inside a seeded
    fork of torch's global state.
    """

    constant: float = 0.0
    """-ln p(x | z) less `reconstruction`, in nats per image: it depends on neither z nor any parameter."""

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__()

    @classmethod
    def numbers(cls, options: Options) -> int:
        """How many numbers a pixel the decoder gives; those of all pixels come one after the other in the first side of `decoded`."""
        return 1

    @classmethod
    def is_quadratic(cls, options: Options) -> bool:
        """Whether `reconstruction` is the squared error of `decoded` itself, so that a linear decoder has its expectation in closed form."""
        return False

    def noise_variance(self) -> Tensor | None:
        """sigma^2, one number or one for each pixel [*data_shape], where p(x | z) is N(decoded, sigma^2) and sigma does not depend on z; else None.

        Called by evaluations that integrate over z in closed form.
        """
        return None

    def max_log_prob(self) -> Tensor | None:
        """What ln p(x | z) of no image exceeds, whatever is decoded for it, in nats (a scalar); None where no such bound is known.

        Called by evaluations that sum over z, for the error of leaving some out.
        """
        return None

    @abstractmethod
    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """The training cost -ln p(x | z) - `constant`, in nats [B]. Called by estimators and by families' costs."""

    @abstractmethod
    def mean(self, decoded: Tensor) -> Tensor:
        """E[x | z], in the shape of the images. Called by evaluations for squared errors and pictures."""

    def log_prob(self, images: Tensor, decoded: Tensor) -> Tensor:
        """ln p(x | z) in nats [B], normalised. Called by inference through the decoder, and by evaluations that estimate ln p(x)."""
        return -(self.reconstruction(images, decoded) + self.constant)
