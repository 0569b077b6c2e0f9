"""Score-function estimators with several samples an image, each measured against the others: `rloo` and `vargrad`."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field
from torch import Tensor

from latentbench.api import Assembly, Estimator, Loss, Options, Step


class SeveralOptions(Options):
    """Options of `rloo` and `vargrad`."""

    samples: int = Field(4, ge=2, description="Samples an image.")


class SeveralSamples(Estimator):
    """Base of estimators that draw S true samples an image, of which the mean cost of the others is the baseline of each."""

    options_model = SeveralOptions
    ignores = frozenset({"training.temperature_*"})

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, SeveralOptions)
        self.samples = options.samples

    def loss(self, step: Step) -> Loss:
        """Direct gradients of the terms, and the score weighed by what a sample costs beyond the mean of the others."""
        z = step.sample(self.samples)  # [S, B, K]
        reconstruction, log_q, kl = step.reconstruction(z), step.log_q(z), step.kl()
        scored, direct = self.terms(step, z, reconstruction, log_q, kl)
        excess = (scored - scored.mean(0)) * (self.samples / (self.samples - 1))  # c_s - mean of the others
        surrogate = direct + (excess.detach() * log_q).mean(0)
        return Loss(surrogate.mean(), {"reconstruction": reconstruction.mean(0).detach(), "kl": kl.detach()})

    @abstractmethod
    def terms(self, step: Step, z: Tensor, reconstruction: Tensor, log_q: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        """What the score weighs [S, B], and what is differentiated at fixed samples [B]."""


class Rloo(SeveralSamples):
    """REINFORCE, leave-one-out: grad E[c] = mean_s (c_s - mean_{t != s} c_t) grad ln q(z_s) + grad c_s, with the KL in closed form.

    Kool, van Hoof & Welling (2019), with replacement. It is unbiased for any family.
    """

    name = "rloo"

    def terms(self, step: Step, z: Tensor, reconstruction: Tensor, log_q: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        """The reconstruction alone is scored."""
        return reconstruction, reconstruction.mean(0) + step.beta * kl


class VarGrad(SeveralSamples):
    """The gradient of half the variance of c + beta (ln q - ln p) over S samples (Richter et al. 2020, the log-variance loss).

    It is `rloo` with the divergence sampled too. The divergence that trains is therefore that of samples, E[ln q - ln p], which differs from the
    reported one where a family publishes another.
    """

    name = "vargrad"

    def terms(self, step: Step, z: Tensor, reconstruction: Tensor, log_q: Tensor, kl: Tensor) -> tuple[Tensor, Tensor]:
        """All of the negative ELBO is scored; at fixed samples it depends on decoder and prior."""
        log_p = step.log_p(z)
        return reconstruction + step.beta * (log_q - log_p), (reconstruction - step.beta * log_p).mean(0)
