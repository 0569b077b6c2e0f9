"""Categorical latents (one-hot vectors), relaxed by the Gumbel-softmax, or Concrete, distribution (Jang et al. 2017; Maddison et al. 2017)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Generator, Tensor

from latentbench import hookimpl
from latentbench.api import (
    AmortisedFamily,
    Assembly,
    Family,
    Options,
    Posterior,
    Range,
    relaxed_and_hard_categorical,
    relaxed_categorical,
    sample_categorical,
)
from latentbench_categorical.divergence import log_probabilities_and_divergence


class CategoricalOptions(Options):
    """Options of `categorical`."""

    groups: int = Field(1, ge=1, description="Number of one-hot vectors that the latent dimensions are divided into; the paper's is 1.")


class CategoricalPosterior(Posterior):
    """G independent one-hot vectors of K/G categories with `logits` [B, G, K/G]; samples are flattened to [B, K]."""

    def __init__(self, logits: Tensor) -> None:
        self.log_p, self.divergence = log_probabilities_and_divergence(logits)  # [B, G, K/G], [B, G]

    @property
    def p(self) -> Tensor:
        """Probabilities [B, G, K/G]."""
        return self.log_p.exp()

    @property
    def mean(self) -> Tensor:
        """Probabilities [B, K]."""
        return self.p.flatten(1)

    @property
    def variance(self) -> Tensor:
        """p (1 - p) [B, K]; the one-hots of a group also covary, by -p_j p_k."""
        p = self.p
        return (p * (1 - p)).flatten(1)

    @property
    def representation(self) -> Tensor:
        """Normalised logits [B, K]."""
        return self.log_p.flatten(1)

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """softmax((ln p + Gumbel noise) / T) [B, K]."""
        return relaxed_categorical(self.log_p, temperature, generator).flatten(1)

    def relaxed_and_hard(self, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """The relaxed one-hots, and the one-hots at their maxima: by the Gumbel-max trick true samples of the same noise."""
        soft, hard = relaxed_and_hard_categorical(self.log_p, temperature, generator)
        return soft.flatten(1), hard.flatten(1)

    def sample(self, generator: Generator) -> Tensor:
        """One-hots [B, K], by the Gumbel-max trick."""
        return sample_categorical(self.log_p, generator).flatten(1)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln p of the chosen categories [B, G]."""
        return (z.view(*z.shape[:-1], *self.log_p.shape[1:]) * self.log_p).sum(-1)

    def kl(self, generator: Generator) -> Tensor:
        """KL to the uniform distribution: ln(K/G) - entropy [B, G]."""
        return self.divergence

    def values(self, tail: float) -> Tensor:
        """All one-hot vectors [K/G, K/G]."""
        return torch.eye(self.log_p.shape[-1], dtype=self.log_p.dtype, device=self.log_p.device)

    def decoded_variance(self, dictionary: Tensor) -> Tensor:
        """With the covariance diag(p) - p p' of each group: sum_k p_k |phi_k|^2 - sum_g |Phi_g p_g|^2 [B]."""
        groups, p = dictionary.unflatten(1, self.log_p.shape[1:]), self.p  # [M, G, K/G], [B, G, K/G]
        decoded = torch.einsum("mgk,bgk->bmg", groups, p)
        return p.flatten(1) @ dictionary.square().sum(0) - decoded.square().sum((1, 2))


class Categorical(AmortisedFamily):
    """Categorical posterior over one-hot vectors, fixed uniform prior. The encoder's K outputs are logits."""

    name = "categorical"
    version = "2"
    options_model = CategoricalOptions
    relaxed = True
    one_hot = True
    covaries = True
    defaults = {"training.temperature_start": 1.0, "training.temperature_stop": 0.1}
    search = {"training.temperature_stop": Range(low=0.05, high=1.0, log=True)}

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, CategoricalOptions)
        self.features = self.latent_dim
        self.groups = options.groups
        self.register_buffer("uniform", torch.zeros(self.groups, self.latent_dim // self.groups))
        self.uniform: Tensor

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Groups must divide the latent dimensions."""
        assert isinstance(options, CategoricalOptions)
        if assembly.latent_dim % options.groups:
            return f"latent_dim {assembly.latent_dim} cannot be divided into {options.groups} groups of equal size"
        return None

    def posterior(self, features: Tensor) -> CategoricalPosterior:
        """One-hots with logits from features [B, K]."""
        return CategoricalPosterior(features.unflatten(1, (self.groups, -1)))

    def prior(self, batch: int) -> CategoricalPosterior:
        """Uniform one-hots."""
        return CategoricalPosterior(self.uniform.expand(batch, -1, -1))


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `categorical`."""
    return [Categorical]
