"""Multi-sample bounds of ln p(x) in place of the evidence lower bound: `iwae` for densities, `vimco` for any samples."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from pydantic import Field
from torch import Tensor

from latentbench.api import Assembly, Estimator, Loss, Options, Step

ANOTHER_BOUND = "its objective is a multi-sample bound of ln p(x), tighter than the evidence lower bound"


class BoundOptions(Options):
    """Options of `iwae` and `vimco`."""

    samples: int = Field(8, ge=2, description="Samples an image, S.")


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """ln mean_s e^(w_s) [B] of log-weights [S, B]."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


class MultiSample(Estimator):
    """Base of estimators of grad E[ln mean_s w_s] with ln w_s = -c(x, z_s) - beta (ln q(z_s | x) - ln p(z_s)).

    Its negative is reported as `multi_sample_nelbo`, less the likelihood's constant like a reconstruction, beside the terms of the one-sample
    negative ELBO. At beta = 1 it is an upper bound of -ln p(x) (Burda et al. 2016); the KL weight tempers ln q - ln p.
    """

    options_model = BoundOptions
    deviations = {"gradient": ANOTHER_BOUND, "discrete_gradient": ANOTHER_BOUND}

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, BoundOptions)
        self.samples = options.samples

    def loss(self, step: Step) -> Loss:
        """The negative bound, with a score term where samples have no gradient."""
        z = self.sample(step)  # [S, B, K]
        reconstruction, log_q = step.reconstruction(z), step.log_q(z)
        log_weights = -reconstruction - step.beta * (log_q - step.log_p(z))
        bound = log_mean_exp(log_weights)
        surrogate = -(bound + self.score(log_weights.detach(), bound.detach(), log_q))
        reported = {"reconstruction": reconstruction.mean(0), "kl": step.kl(), "multi_sample_nelbo": -bound}
        return Loss(surrogate.mean(), {name: value.detach() for name, value in reported.items()})

    @abstractmethod
    def sample(self, step: Step) -> Tensor:
        """Samples [S, B, K]."""

    @abstractmethod
    def score(self, log_weights: Tensor, bound: Tensor, log_q: Tensor) -> Tensor | float:
        """What the samples' own dependence on the parameters adds to the gradient [B], of log-weights [S, B] and the bound [B]."""


class Iwae(MultiSample):
    """The importance-weighted autoencoder (Burda, Grosse & Salakhutdinov 2016, section 3): pathwise gradients of the bound of S samples.

    It differentiates a density along samples: discrete samples have none, and one with atoms jumps.
    """

    name = "iwae"

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A density is needed."""
        family = assembly.family
        if family.relaxed or family.counts:
            return f"it differentiates the density of samples, and those of '{family.name}' are discrete; 'vimco' is for them"
        return f"it differentiates the density of samples, and those of '{family.name}' have atoms; 'vimco' is for them" if family.atoms else None

    def sample(self, step: Step) -> Tensor:
        """Differentiable samples."""
        return step.rsample(self.samples)

    def score(self, log_weights: Tensor, bound: Tensor, log_q: Tensor) -> float:
        """Nothing: the gradient goes through the samples."""
        return 0.0


class Vimco(MultiSample):
    """Variational inference for Monte Carlo objectives (Mnih & Rezende 2016, section 2): the score estimator of the bound of S samples.

    The learning signal of a sample is what the bound exceeds the one in which the geometric mean of the others' weights takes its place.
    """

    name = "vimco"
    ignores = frozenset({"training.temperature_*"})

    def sample(self, step: Step) -> Tensor:
        """True samples."""
        return step.sample(self.samples)

    def score(self, log_weights: Tensor, bound: Tensor, log_q: Tensor) -> Tensor:
        """Each sample's own learning signal times its ln q, summed over samples."""
        return ((bound - without_each(log_weights)) * log_q).sum(0)


def without_each(log_weights: Tensor) -> Tensor:
    """The bounds [S, B] in which one log-weight after the other is replaced by the mean of the others."""
    n = len(log_weights)
    others = (log_weights.sum(0) - log_weights) / (n - 1)  # [S, B]
    own = torch.eye(n, dtype=torch.bool, device=log_weights.device)[:, :, None]
    replaced = torch.where(own, others[:, None], log_weights[None])  # [S, S, B]: the first counts what is replaced
    return replaced.logsumexp(1) - math.log(n)
