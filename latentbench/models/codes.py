"""Codes: what a family makes of a batch of images. A posterior, or the point that a sparse coder infers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Generator, Tensor


class Code(ABC):
    """Codes of B images in K latent dimensions. Evaluations call everything here."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Mean of the code [B, K]; its decoded image gives `sse_at_mean`."""

    @property
    def location(self) -> Tensor:
        """What the paper decodes for its rate-distortion figures [B, K]: the mean, but before any activation (`sse_at_location`)."""
        return self.mean

    @property
    def representation(self) -> Tensor:
        """Features that a readout (nearest neighbours, logistic regression) gets [B, F]."""
        return self.mean

    @abstractmethod
    def sample(self, generator: Generator) -> Tensor:
        """A true sample [B, K] (counts, one-hots), without gradient."""


class PointCode(Code):
    """A code without uncertainty, `z` [B, K]: mean, sample and representation are the same."""

    def __init__(self, z: Tensor) -> None:
        self.z = z

    @property
    def mean(self) -> Tensor:
        """The point itself [B, K]."""
        return self.z

    def sample(self, generator: Generator) -> Tensor:
        """The point itself [B, K]."""
        return self.z.detach()


class Posterior(Code):
    """q(z | x) for B images, or the prior p(z) repeated B times. G latents: K scalars, or groups of K / G dimensions (one-hot vectors)."""

    is_normal: bool = False
    """Whether dimensions are independent and normal, so that mean and variance say all of it. Evaluations that integrate over z ask the prior."""

    @property
    @abstractmethod
    def variance(self) -> Tensor:
        """Variance of each dimension [B, K]; gradient estimators differentiate it."""

    @abstractmethod
    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """A sample [B, K] that is differentiable in the parameters: the reparameterised one, or its relaxation at `temperature`."""

    def relaxed_and_hard(self, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """A relaxed sample and the true sample made of the same noise, both [B, K]. Only relaxed families have it.

        Raises:
            TypeError: the family's samples are not a relaxation of discrete ones.
        """
        raise TypeError(f"{type(self).__name__} is not a relaxation of a discrete distribution")

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """ln q(z) of each latent in nats [B, G], for true samples `z` [B, K]. Score-function estimators differentiate it.

        Several samples an image come in leading dimensions, [S, B, K] -> [S, B, G]; decoders take them flattened into the batch.
        """

    @abstractmethod
    def kl(self, generator: Generator) -> Tensor:
        """KL(q || p) of each latent in nats [B, G].

        A closed form needs no generator. Where there is none, `estimate_kl` draws from it, and the family says `estimated_kl`.
        """

    def values(self, tail: float) -> Tensor | None:
        """The values [V, K / G] that a latent takes (whole numbers, one-hot vectors), but for those whose probability together is at most `tail`.

        They are the same for each latent; with tail 0 all values that there are. None where these are infinitely many, or not discrete. Evaluations
        that sum over z ask the prior.
        """
        return None

    def decoded_variance(self, dictionary: Tensor) -> Tensor:
        """E |Phi (z - E z)|^2 = trace(Phi' Phi Cov z) [B], for a dictionary Phi [M, K].

        With the decoded mean it gives the expected squared error of a linear decoder (Poisson VAE, eq. 21). Independent latents by default;
        a family whose latents covary overrides it.
        """
        return self.variance @ dictionary.square().sum(0)


class Density(Protocol):
    """What has a log-density: a posterior, a prior, or a distribution of torch."""

    def log_prob(self, z: Tensor) -> Tensor:
        """ln p(z) of each latent."""
        ...


def estimate_kl(q: Posterior, p: Density, generator: Generator) -> Tensor:
    """ln q(z) - ln p(z) of each latent [B, G] at one reparameterised sample z of continuous latents: unbiased for KL(q || p), and maybe negative."""
    z = q.rsample(1.0, generator)
    return q.log_prob(z) - p.log_prob(z)
