"""`reinmax`: straight-through of second order for one-hot vectors."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from latentbench.api import Assembly, Options, Step
from latentbench_estimators.sampled import SampledEstimator, forward_of


class ReinMaxOptions(Options):
    """Options of `reinmax`."""

    temperature: float = Field(1.0, gt=0, description="Of the probabilities that are averaged with the sample; second order at 1 alone.")


class ReinMax(SampledEstimator):
    """A true one-hot z forward; backward 2 dp1 - dp0 / 2, with the softmax's derivative at p1 = (z + p) / 2 and at p0 = p (Liu et al. 2023).

    It is Heun's method where straight-through is Euler's: exact for a cost that is quadratic in each one-hot vector, as
    the squared error of a linear decoder, and biased beyond. At another temperature p1 is (z + softmax(logits / temperature)) / 2.
    """

    name = "reinmax"
    options_model = ReinMaxOptions
    ignores = frozenset({"training.temperature_*"})
    deviations = {"discrete_gradient": "it is biased on purpose: it is exact for costs that are quadratic in a one-hot vector"}

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, ReinMaxOptions)
        self.temperature = options.temperature

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """One-hot vectors are needed."""
        family = assembly.family
        return None if family.one_hot else f"it is for one-hot latents, and samples of '{family.name}' are none"

    def sample(self, step: Step) -> Tensor:
        """One-hots [B, K] with ReinMax's gradient."""
        hard, probabilities = step.sample(), step.posterior.mean
        groups = step.posterior.log_prob(hard).shape[-1]
        return forward_of(hard, _backward(_split(hard, groups), _split(probabilities, groups), self.temperature).flatten(1))


def _split(codes: Tensor, groups: int) -> Tensor:
    """Codes [B, K] by one-hot vector [B, G, K/G]."""
    return codes.reshape(len(codes), groups, -1)


def _backward(hard: Tensor, p: Tensor, temperature: float) -> Tensor:
    """2 p1 - p / 2, differentiable in the logits, whose softmax p is [B, G, C]."""
    log_p = p.clamp(min=torch.finfo(p.dtype).tiny).log()  # of p that underflows it is not infinite, nor is its derivative
    averaged = (hard + (log_p.detach() / temperature).softmax(-1)) / 2
    shifted = (averaged.log() - log_p).detach() + log_p  # a softmax of it is `averaged`, and its derivative that in the logits
    return 2 * shifted.softmax(-1) - p / 2
