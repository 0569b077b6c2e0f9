"""`gamma`: Gamma latents with a Gamma(1, 1) prior. A distribution that torch.distributions can reparameterise is a family in ten lines."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Gamma
from torch.nn.functional import softplus

from latentbench import hookimpl
from latentbench.api import Assembly, Family, Options, TorchFamily


class GammaFamily(TorchFamily):
    """Gamma(a, b) posterior, with a and b from the encoder, and a fixed Gamma(1, 1) prior.

    torch reparameterises the Gamma by implicit differentiation of its cdf (Figurnov, Mohamed & Mnih 2018), which gives an unbiased gradient, and
    has the KL in closed form. `SHAPE_MIN` keeps samples away from 0, where ln q has a pole for a < 1.
    """

    name = "gamma"
    SHAPE_MIN = 0.1
    one: Tensor

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = 2 * self.latent_dim
        self.register_buffer("one", torch.ones(self.latent_dim))

    def posterior_distribution(self, features: Tensor) -> Gamma:
        """Gamma(a, b) with a and b = softplus(feature) + .1, from features [B, 2K]."""
        a, b = (softplus(half) + self.SHAPE_MIN for half in features.chunk(2, dim=1))
        return Gamma(a, b, validate_args=False)  # a run that diverges is recorded as such, rather than as an error of torch's checks

    def prior_distribution(self, batch: int) -> Gamma:
        """Gamma(1, 1) in each dimension, the exponential distribution."""
        one = self.one.expand(batch, -1)
        return Gamma(one, one)


@hookimpl
def register_families() -> list[type[Family]]:
    """Register `gamma`."""
    return [GammaFamily]
