"""Estimators without samples: `exact`, the loss of a linear decoder in closed form, and `enumeration`, a sum over all one-hot codes."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from latentbench.api import Assembly, Estimator, Loss, Options, Step, UserError, dictionary_of
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
        return negative_elbo(step, step.reconstruction(posterior.mean) + spread)


class EnumerationOptions(Options):
    """Options of `enumeration`."""

    limit: int = Field(4096, ge=2, description="Codes of an image that are summed over at most.")


class Enumeration(Estimator):
    """The loss of one-hot latents as a sum over all their codes, without samples, for any decoder: sum_z q(z | x) c(x, z) + beta KL.

    G vectors of C categories have C^G codes, each of which is decoded for every image: it is a reference for small models.
    """

    name = "enumeration"
    options_model = EnumerationOptions
    ignores = frozenset({"training.temperature_*"})

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, EnumerationOptions)
        self.limit = options.limit

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """One-hot vectors are needed."""
        family = assembly.family
        return None if family.one_hot else f"it is for one-hot latents, and samples of '{family.name}' are none"

    def loss(self, step: Step) -> Loss:
        """The expected cost over all codes.

        Raises:
            UserError: there are more of them than the limit.
        """
        mean = step.posterior.mean
        groups = step.posterior.log_prob(mean.detach()).shape[-1]
        categories = mean.shape[1] // groups
        if categories**groups > self.limit:
            raise UserError(f"estimator 'enumeration': {groups} one-hot vectors of {categories} have more than {self.limit} codes")
        z = _codes(groups, categories, mean)[:, None].expand(-1, *mean.shape)  # [N, B, K]
        return negative_elbo(step, (step.log_q(z).exp() * step.reconstruction(z)).sum(0))


def _codes(groups: int, categories: int, like: Tensor) -> Tensor:
    """All codes of one-hot vectors [N, K], in the precision and on the device of a tensor."""
    index = torch.arange(categories**groups, device=like.device)
    powers = torch.full((), categories, device=like.device) ** torch.arange(groups, device=like.device)
    digits = (index[:, None] // powers) % categories  # [N, G]
    vectors = torch.eye(categories, dtype=like.dtype, device=like.device)
    return vectors[digits].flatten(1)
