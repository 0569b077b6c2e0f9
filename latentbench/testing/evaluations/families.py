"""Families of the kit that evaluations are tried on: a posterior with a KL for each latent or for pairs of them, counts, and points."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from latentbench.models.codes import Code, Posterior
from latentbench.models.family import AmortisedFamily, PointFamily
from latentbench.models.likelihood import Likelihood
from latentbench.models.objective import Loss, Step
from latentbench.part import Assembly, Options


class KitNormal(Posterior):
    """N(mean, scale^2) in each of K dimensions, in groups of `size`, against N(0, 1)."""

    def __init__(self, mean: Tensor, scale: Tensor, size: int) -> None:
        self.center, self.scale, self.size = mean, scale, size

    @property
    def mean(self) -> Tensor:
        """The mean [B, K]."""
        return self.center

    @property
    def variance(self) -> Tensor:
        """scale^2 [B, K]."""
        return self.scale.square()

    @property
    def representation(self) -> Tensor:
        """Mean and scale [B, 2 K], so that features are not latents."""
        return torch.cat([self.center, self.scale], 1)

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """mean + scale epsilon [B, K]."""
        noise = torch.randn(self.center.shape, generator=generator, dtype=self.center.dtype, device=self.center.device)
        return self.center + self.scale * noise

    def sample(self, generator: Generator) -> Tensor:
        """The same without gradient."""
        return self.rsample(1.0, generator).detach()

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density [..., B, G]."""
        each = -0.5 * (((z - self.center) / self.scale).square() + torch.log(2 * torch.pi * self.scale.square()))
        return _grouped(each, self.size)

    def kl(self, generator: Generator) -> Tensor:
        """(mean^2 + scale^2 - 1) / 2 - ln scale, summed over each group [B, G]."""
        each = 0.5 * (self.center.square() + self.scale.square() - 1) - self.scale.log()
        return _grouped(each, self.size)


def _grouped(each: Tensor, size: int) -> Tensor:
    """Sums over groups of `size` dimensions [..., K] -> [..., G]."""
    return each.reshape(*each.shape[:-1], -1, size).sum(-1)


class KitGaussian(AmortisedFamily):
    """Gaussian latents."""

    name = "kit_gaussian"
    size = 1

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = 2 * self.latent_dim
        self.zero = torch.nn.Buffer(torch.zeros(self.latent_dim))

    def posterior(self, features: Tensor) -> Posterior:
        """N(f, e^(2 g)) of features f and g."""
        mean, log_scale = features.chunk(2, 1)
        return KitNormal(mean, log_scale.exp(), self.size)

    def prior(self, batch: int) -> Posterior:
        """N(0, 1)."""
        mean = self.zero.expand(batch, -1)
        return KitNormal(mean, torch.ones_like(mean), self.size)


class KitPairs(KitGaussian):
    """The same, two dimensions a latent."""

    name = "kit_pairs"
    size = 2


class KitPoisson(Posterior):
    """Poisson counts of rates [B, K], against those of rate 1."""

    def __init__(self, rate: Tensor) -> None:
        self.rate = rate

    @property
    def mean(self) -> Tensor:
        """The rate [B, K]."""
        return self.rate

    @property
    def variance(self) -> Tensor:
        """The rate [B, K]."""
        return self.rate

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """Evaluations draw true samples.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("the kit's counts are for evaluations")

    def sample(self, generator: Generator) -> Tensor:
        """Counts [B, K]."""
        return torch.poisson(self.rate.detach(), generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """z ln rate - rate - ln z! [..., B, K]."""
        return z * self.rate.log() - self.rate - torch.lgamma(z + 1)

    def kl(self, generator: Generator) -> Tensor:
        """rate ln rate - rate + 1 [B, K]."""
        return self.rate * self.rate.log() - self.rate + 1


class KitCounts(AmortisedFamily):
    """Poisson latents."""

    name = "kit_counts"
    counts = True

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = self.latent_dim
        self.log_rate = torch.nn.Parameter(torch.zeros(self.latent_dim))

    def posterior(self, features: Tensor) -> Posterior:
        """Pois(e^f) of features f."""
        return KitPoisson(features.exp())

    def prior(self, batch: int) -> Posterior:
        """Pois(1)."""
        return KitPoisson(self.log_rate.exp().expand(batch, -1))


class KitPoints(PointFamily):
    """Non-negative points: the ridge regression on the dictionary, cut off at 0."""

    name = "kit_points"

    def infer(self, images: Tensor, dictionary: Tensor) -> Tensor:
        """max(0, (Phi' Phi + 1)^-1 Phi' x) [B, K]."""
        gram = dictionary.T @ dictionary + torch.eye(self.latent_dim, dtype=dictionary.dtype, device=dictionary.device)
        solved: Tensor = torch.linalg.solve(gram, dictionary.T @ images.T)
        return solved.T.relu()

    def costs(self, images: Tensor, code: Code, z: Tensor, decoded: Tensor, likelihood: Likelihood, kl: Tensor | None) -> Mapping[str, Tensor]:
        """The reconstruction and half the squared norm of the code."""
        return {"sparse_coding_cost": likelihood.reconstruction(images, decoded) + 0.5 * z.square().sum(1)}

    def loss(self, step: Step) -> Loss:
        """The mean reconstruction at the codes."""
        reconstruction = step.likelihood.reconstruction(step.images, step.decoder(step.code.mean))
        return Loss(reconstruction.mean(), {"reconstruction": reconstruction.detach()})
