"""`bernoulli`: binary pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from latentbench.api import Assembly, Likelihood, Options


class BernoulliLikelihood(Likelihood):
    """Bernoulli(sigmoid(decoded)) in each pixel, for binary images."""

    name = "bernoulli"

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Pixels must be binary."""
        return None if assembly.dataset.pixels == "binary" else f"it needs binary images, and those of '{assembly.dataset.name}' are not"

    def max_log_prob(self) -> Tensor:
        """0: probabilities are at most 1."""
        return torch.zeros(())

    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Cross-entropy in nats, summed over pixels [B]."""
        return binary_cross_entropy_with_logits(decoded, images, reduction="none").flatten(1).sum(1)

    def mean(self, decoded: Tensor) -> Tensor:
        """sigmoid(decoded)."""
        return decoded.sigmoid()
