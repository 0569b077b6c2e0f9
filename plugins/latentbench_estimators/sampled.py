"""Estimators that decode a sample: `mc`, `straight_through` and `hard_forward`. They differ in what goes forward and what goes back."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field
from torch import Tensor

from latentbench.api import Assembly, Estimator, Loss, Options, Step


def negative_elbo(step: Step, reconstruction: Tensor) -> Loss:
    """The mean over images of reconstruction + beta KL, from the reconstruction term [B]."""
    kl = step.kl()
    return Loss((reconstruction + step.beta * kl).mean(), {"reconstruction": reconstruction.detach(), "kl": kl.detach()})


def forward_of(hard: Tensor, backward_of: Tensor) -> Tensor:
    """`hard` forward, the gradient of the other backward."""
    return backward_of + (hard - backward_of).detach()


class SampledEstimator(Estimator):
    """-ln p(x | z) at one sample z an image, + beta KL."""

    def loss(self, step: Step) -> Loss:
        """The one-sample negative ELBO."""
        return negative_elbo(step, step.reconstruction(self.sample(step)))

    @abstractmethod
    def sample(self, step: Step) -> Tensor:
        """What is decoded [B, K]."""


class MonteCarlo(SampledEstimator):
    """The reparameterised, or pathwise, estimator with one sample an image at the scheduled temperature (Kingma & Welling 2014).

    For the categorical this is the Gumbel-softmax, or Concrete, estimator (Jang et al. 2017; Maddison et al. 2017).
    """

    name = "mc"

    def sample(self, step: Step) -> Tensor:
        """A differentiable sample."""
        return step.rsample()


class DiscreteEstimator(SampledEstimator):
    """Base of estimators for discrete samples, whose own gradient is zero."""

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Discrete samples are needed."""
        family = assembly.family
        return None if family.relaxed else f"it is for relaxed discrete latents, and samples of '{family.name}' have a gradient themselves"


class StraightThrough(DiscreteEstimator):
    """A true sample forward; backward, as if it were the posterior mean (Bengio et al. 2013).

    For counts dz / d rate = 1; for one-hots z + p - stopgrad(p). The gradient is biased where the decoder or the loss is not linear in z.
    """

    name = "straight_through"
    ignores = frozenset({"training.temperature_*"})
    deviations = {"discrete_gradient": "it is biased on purpose: it decodes a true sample, and differentiates as if that were the mean"}

    def sample(self, step: Step) -> Tensor:
        """A count or one-hot with the mean's gradient."""
        return forward_of(step.sample(), step.posterior.mean)


class HardForwardOptions(Options):
    """Options of `hard_forward`."""

    from_start: bool = Field(False, description="From the first step, not from that at which the temperature has reached its final value.")


class HardForward(DiscreteEstimator):
    """Forward the count or one-hot, backward the gradient of the relaxed sample of the same noise, once annealing is over; `mc` until then.

    For the categorical this is straight-through Gumbel-softmax (Jang et al. 2017); for counts it is that of the authors' code.
    """

    name = "hard_forward"
    options_model = HardForwardOptions
    deviations = {"discrete_gradient": "it is biased on purpose: it decodes the hard sample, and differentiates the relaxed one"}

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, HardForwardOptions)
        self.from_start = options.from_start

    def sample(self, step: Step) -> Tensor:
        """The hard sample with the relaxed one's gradient."""
        if not (self.from_start or step.temperature_is_final):
            return step.rsample()
        relaxed, hard = step.posterior.relaxed_and_hard(step.temperature, step.generator)
        return forward_of(hard, relaxed)
