"""A base for families with a location and a scale in each latent dimension, and a standard prior, or one that is learned."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import Parameter

from latentbench.blocks.limits import softly_within
from latentbench.models.codes import Posterior
from latentbench.models.family import AmortisedFamily
from latentbench.neutral import added
from latentbench.part import Assembly, Options

LOG_SCALE_LIMIT = 5.3


def location_and_log_scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """The locations x and the log-scales c tanh(raw / c), both [B, K], of features (x, raw) [B, 2K]; c = 5.3, as in the authors' code.

    Scales stay within e^-5.3 and e^5.3. With s = sigmoid(2 raw / c), tanh is 2s - 1, which torch computes three times faster on a CPU, and the
    derivative 1 - tanh^2 is 4 s (1 - s). Differentiable once; both gradients are written into one tensor, where slices would add up two.
    """
    loc, log_scale = _LocationAndLogScale.apply(features)  # type: ignore[no-untyped-call]  # untyped in torch
    return loc, log_scale


class _LocationAndLogScale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        loc, raw = features.chunk(2, dim=1)
        s = (raw * (2 / LOG_SCALE_LIMIT)).sigmoid_()
        ctx.save_for_backward(torch.addcmul(s, s, s, value=-1).mul_(4))
        return loc, s.mul_(2 * LOG_SCALE_LIMIT).sub_(LOG_SCALE_LIMIT)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_loc: Tensor, to_log_scale: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        batch, k = slope.shape
        to_features: Tensor = slope.new_empty(batch, 2 * k)
        to_features[:, :k] = to_loc
        to_features[:, k:] = to_log_scale
        to_features[:, k:] *= slope
        return to_features


class LearnedPriorOptions(Options):
    """Options of families whose prior is standard, unless it is learned."""

    learned_prior: bool = added(False, neutral=False, description="Whether location and scale of each latent's prior are trained, from 0 and 1 on.")


class LocationScaleFamily(AmortisedFamily):
    """Posterior with location and scale from the encoder, prior with location 0 and scale 1, or with `LearnedPriorOptions` trained ones.

    The encoder's 2K outputs are the locations, then the log-scales before their soft limit. A family says which distribution that is, and takes its
    divergence to `learned_prior`.
    """

    origin: Tensor

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.features = 2 * self.latent_dim
        self.register_buffer("origin", torch.zeros(self.latent_dim), persistent=False)
        self.learned = isinstance(options, LearnedPriorOptions) and options.learned_prior
        if self.learned:
            self.prior_loc, self.prior_log_scale = (Parameter(torch.zeros(self.latent_dim)) for _ in range(2))

    @property
    def learned_prior(self) -> tuple[Tensor, Tensor] | None:
        """Location and log-scale of a trained prior, both [K], the scale with the same limit as that of posteriors; None for the standard one."""
        return (self.prior_loc, softly_within(LOG_SCALE_LIMIT, self.prior_log_scale)) if self.learned else None

    @abstractmethod
    def distribution(self, loc: Tensor, log_scale: Tensor) -> Posterior:
        """The distribution with `loc` and `log_scale` [B, K]."""

    def posterior(self, features: Tensor) -> Posterior:
        """The distribution at features [B, 2K]."""
        return self.distribution(*location_and_log_scale(features))

    def prior(self, batch: int) -> Posterior:
        """The distribution at location 0, scale 1, or at the trained ones."""
        if self.learned_prior is not None:
            loc, log_scale = (parameter.expand(batch, -1) for parameter in self.learned_prior)
            return self.distribution(loc, log_scale)
        zeros = self.origin.expand(batch, -1)
        return self.distribution(zeros, zeros)
