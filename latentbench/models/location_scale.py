"""A base for families with a location and a scale in each latent dimension, and a fixed standard prior."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from latentbench.models.codes import Posterior
from latentbench.models.family import AmortisedFamily
from latentbench.part import Assembly, Options

LOG_SCALE_LIMIT = 5.3


def limited_log_scale(raw: Tensor) -> Tensor:
    """c tanh(raw / c) with c = 5.3, as in the authors' code: scales stay within e^-5.3 and e^5.3."""
    # tanh(x) = 2 sigmoid(2 x) - 1, and torch computes that three times faster on a CPU.
    return torch.sigmoid(raw * (2 / LOG_SCALE_LIMIT)) * (2 * LOG_SCALE_LIMIT) - LOG_SCALE_LIMIT


class LocationScaleFamily(AmortisedFamily):
    """Posterior with location and scale from the encoder, prior with location 0 and scale 1.

    The encoder's 2K outputs are the locations, then the log-scales before their soft limit. A family says which distribution that is.
    """

    origin: Tensor

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = 2 * self.latent_dim
        self.register_buffer("origin", torch.zeros(self.latent_dim), persistent=False)

    @abstractmethod
    def distribution(self, loc: Tensor, log_scale: Tensor) -> Posterior:
        """The distribution with `loc` and `log_scale` [B, K]."""

    def posterior(self, features: Tensor) -> Posterior:
        """The distribution at features [B, 2K]."""
        loc, raw = features.chunk(2, dim=1)
        return self.distribution(loc, limited_log_scale(raw))

    def prior(self, batch: int) -> Posterior:
        """The distribution at location 0, scale 1."""
        zeros = self.origin.expand(batch, -1)
        return self.distribution(zeros, zeros)
