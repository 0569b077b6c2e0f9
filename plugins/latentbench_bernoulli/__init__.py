"""Bernoulli latents with learned prior probabilities, relaxed by the binary Concrete distribution (Maddison, Mnih & Teh 2017, appendix B)."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import Parameter
from torch.nn.functional import softplus

from latentbench import hookimpl
from latentbench.api import AmortisedFamily, Assembly, Family, Options, Posterior, Range


class BernoulliOptions(Options):
    """Options of `bernoulli`."""

    prior_probability: float = Field(0.1, gt=0, lt=1, description="The prior's probability of a 1, or with `learned_prior` its initial value.")
    learned_prior: bool = Field(True, description="Whether the prior probability of each latent is trained.")


class BernoulliPosterior(Posterior):
    """z in {0, 1} in each of K dimensions, 1 with probability sigmoid(`logits`); `prior` are the logits of the prior, both [B, K]."""

    def __init__(self, logits: Tensor, prior: Tensor) -> None:
        self.logits, self.prior = logits, prior

    @property
    def mean(self) -> Tensor:
        """The probabilities [B, K]."""
        return self.logits.sigmoid()

    @property
    def variance(self) -> Tensor:
        """p (1 - p) [B, K], without cancellation where p is close to 1."""
        return self.logits.sigmoid() * (-self.logits).sigmoid()

    @property
    def representation(self) -> Tensor:
        """The logits [B, K]."""
        return self.logits

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """sigmoid((logits + logistic noise) / T) [B, K], the binary Concrete distribution."""
        return ((self.logits + self._noise(generator)) / temperature).sigmoid()

    def relaxed_and_hard(self, temperature: float, generator: Generator) -> tuple[Tensor, Tensor]:
        """The relaxed sample, and whether the same noise exceeds -logits: a true sample."""
        perturbed = self.logits + self._noise(generator)
        return (perturbed / temperature).sigmoid(), (perturbed > 0).to(perturbed.dtype)

    def sample(self, generator: Generator) -> Tensor:
        """Zeros and ones [B, K]."""
        return torch.bernoulli(self.mean.detach(), generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """z ln p + (1 - z) ln(1 - p) = z l - softplus(l), with logits l [B, K]; minus infinity where z is neither 0 nor 1."""
        return (z * self.logits - softplus(self.logits)).where((z == 0) | (z == 1), -torch.inf)

    def kl(self, generator: Generator) -> Tensor:
        """p (l - l0) - softplus(l) + softplus(l0), with the prior's logits l0 [B, K]."""
        return self.mean * (self.logits - self.prior) - softplus(self.logits) + softplus(self.prior)

    def values(self, tail: float) -> Tensor:
        """0 and 1 [2, 1]."""
        return torch.tensor([[0.0], [1.0]], dtype=self.logits.dtype, device=self.logits.device)

    def _noise(self, generator: Generator) -> Tensor:
        """Logistic noise ln u - ln(1 - u), finite."""
        u = torch.rand(self.logits.shape, generator=generator, device=self.logits.device, dtype=self.logits.dtype)
        return torch.logit(u, eps=torch.finfo(u.dtype).eps / 4)  # torch.rand returns exact zeros


class Bernoulli(AmortisedFamily):
    """Bernoulli posterior, Bernoulli prior. The encoder's K outputs are added to the logits of the prior."""

    name = "bernoulli"
    options_model = BernoulliOptions
    relaxed = True
    defaults = {"training.temperature_start": 1.0, "training.temperature_stop": 0.1}
    search = {"training.temperature_stop": Range(low=0.05, high=1.0, log=True)}
    prior_logits: Tensor

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, BernoulliOptions)
        self.features = self.latent_dim
        logits = torch.full((self.latent_dim,), options.prior_probability).logit()
        if options.learned_prior:
            self.prior_logits = Parameter(logits)
        else:
            self.register_buffer("prior_logits", logits)

    def posterior(self, features: Tensor) -> BernoulliPosterior:
        """Logits of the prior + features [B, K]."""
        prior = self.prior_logits.expand_as(features)
        return BernoulliPosterior(prior + features, prior)

    def prior(self, batch: int) -> BernoulliPosterior:
        """The prior's logits."""
        logits = self.prior_logits.expand(batch, -1)
        return BernoulliPosterior(logits, logits)


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `bernoulli`."""
    return [Bernoulli]
