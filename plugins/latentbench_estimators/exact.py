"""`exact`: the loss of a linear decoder in closed form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from latentbench.api import Assembly, Estimator, Loss, Options, Step, dictionary_of
from latentbench_estimators.sampled import negative_elbo


class ExactOptions(Options):
    """Options of `exact`."""

    covariance: Literal["full", "diagonal"] = Field(
        "full", description="`diagonal` leaves out covariances between latent dimensions (the paper's categorical); it differs where there are any."
    )


class Exact(Estimator):
    """The loss in closed form, without samples: E |x - Phi z|^2 = |x - Phi E z|^2 + tr(Phi' Phi Cov z) (Poisson VAE, eq. 21)."""

    name = "exact"
    options_model = ExactOptions
    ignores = frozenset({"training.temperature_*"})

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, ExactOptions)
        self.diagonal = options.covariance == "diagonal"

    @classmethod
    def ignored(cls, assembly: Assembly, options: Options) -> frozenset[str]:
        """The covariance means nothing for independent latents."""
        return cls.ignores if assembly.family.covaries else cls.ignores | {"estimator_options.covariance"}

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A linear decoder and a squared error are needed."""
        if not assembly.quadratic:
            return f"it needs a squared error, and the likelihood '{assembly.likelihood.name}' has none"
        return None if assembly.linear_decoder else f"it needs a linear decoder, and '{assembly.decoder.name}' is not"

    def loss(self, step: Step) -> Loss:
        """The squared error at the posterior mean, + the decoded variance, + beta KL."""
        posterior = step.posterior
        dictionary, _ = dictionary_of(step.decoder)
        spread = posterior.variance @ dictionary.square().sum(0) if self.diagonal else posterior.decoded_variance(dictionary)
        return negative_elbo(step, step.likelihood.reconstruction(step.images, step.decoder(posterior.mean)) + spread)
