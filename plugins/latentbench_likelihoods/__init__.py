"""Likelihoods of images: `gaussian` and `bernoulli`."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from latentbench import hookimpl
from latentbench.api import Assembly, Likelihood, Options


class GaussianLikelihood(Likelihood):
    """N(decoded, 1/2) in each pixel: -ln p is the squared error, less (M/2) ln pi (Poisson VAE, eq. 3)."""

    name = "gaussian"

    @classmethod
    def is_quadratic(cls, options: Options) -> bool:
        """It is."""
        return True

    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """|x - decoded|^2 [B]."""
        return (images - decoded).square().flatten(1).sum(1)

    def mean(self, decoded: Tensor) -> Tensor:
        """Decoded itself."""
        return decoded


class BernoulliLikelihood(Likelihood):
    """Bernoulli(sigmoid(decoded)) in each pixel, for binary images."""

    name = "bernoulli"

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Pixels must be binary."""
        return None if assembly.dataset.pixels == "binary" else f"it needs binary images, and those of '{assembly.dataset.name}' are not"

    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Cross-entropy in nats, summed over pixels [B]."""
        return binary_cross_entropy_with_logits(decoded, images, reduction="none").flatten(1).sum(1)

    def mean(self, decoded: Tensor) -> Tensor:
        """sigmoid(decoded)."""
        return decoded.sigmoid()


@hookimpl
def register_likelihoods() -> list[type[Likelihood]]:
    """Register `gaussian` and `bernoulli`."""
    return [GaussianLikelihood, BernoulliLikelihood]
