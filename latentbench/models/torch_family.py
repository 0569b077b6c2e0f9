"""Families out of torch.distributions: any distribution with `rsample` and a registered KL, in about ten lines."""

from __future__ import annotations

from abc import abstractmethod

from torch import Generator, Tensor
from torch.distributions import Distribution, Normal, kl_divergence

from latentbench.blocks.seeded import seeded
from latentbench.errors import UserError
from latentbench.models.codes import Posterior, estimate_kl
from latentbench.models.family import AmortisedFamily


class TorchPosterior(Posterior):
    """A batch of independent distributions over K dimensions, with the prior that the KL is taken to; the KL is registered or `estimated`."""

    def __init__(self, q: Distribution, p: Distribution, estimated: bool = False) -> None:
        self.q, self.p, self.estimated = q, p, estimated
        self.is_normal = isinstance(q, Normal)

    @property
    def mean(self) -> Tensor:
        """Mean [B, K]."""
        return self.q.mean

    @property
    def variance(self) -> Tensor:
        """Variance [B, K]."""
        return self.q.variance

    def rsample(self, temperature: float, generator: Generator) -> Tensor:
        """The distribution's own reparameterised sample, drawn in a seeded fork of torch's global state."""
        with seeded(generator):
            return self.q.rsample()

    def sample(self, generator: Generator) -> Tensor:
        """The distribution's own sample, drawn in a seeded fork of torch's global state."""
        with seeded(generator):
            return self.q.sample()

    def log_prob(self, z: Tensor) -> Tensor:
        """ln q(z) [B, K]."""
        return self.q.log_prob(z)

    def kl(self, generator: Generator) -> Tensor:
        """KL(q || p) [B, K]: as registered with torch.distributions, or estimated at one sample.

        Raises:
            UserError: none is registered.
        """
        if self.estimated:
            return estimate_kl(self, self.p, generator)
        try:
            return kl_divergence(self.q, self.p)
        except NotImplementedError as error:  # how torch says that no KL is registered; it is told as a UserError
            names = f"{type(self.q).__name__} and {type(self.p).__name__}"
            raise UserError(f"torch.distributions knows no KL between {names}: the family must say `estimated_kl = True`") from error


class TorchFamily(AmortisedFamily):
    """Set `features` in `__init__`, and say which distributions posterior and prior are. With `estimated_kl` their KL need not be registered.

    A distribution of torch takes no temperature: a relaxed family overrides `posterior` too, with a posterior whose `rsample` does.
    With `validate_args=False` a run that diverges is recorded as non-finite, rather than as an error of the distribution's own checks.
    """

    @abstractmethod
    def posterior_distribution(self, features: Tensor) -> Distribution:
        """q(z | x) with batch shape [B, K], from features [B, `features`]."""

    @abstractmethod
    def prior_distribution(self, batch: int) -> Distribution:
        """p(z) with batch shape [batch, K]."""

    def posterior(self, features: Tensor) -> TorchPosterior:
        """The posterior, with its KL to the prior."""
        return TorchPosterior(self.posterior_distribution(features), self.prior_distribution(len(features)), self.estimated_kl)

    def prior(self, batch: int) -> TorchPosterior:
        """The prior."""
        p = self.prior_distribution(batch)
        return TorchPosterior(p, p)
