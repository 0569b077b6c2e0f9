"""`poisson` and `negative_binomial`: counts whose mean is softplus(decoded)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import softplus

from latentbench.api import Assembly, Likelihood, Options
from latentbench_likelihoods.scale import limited

TAIL = -15.0
"""Below it softplus(x) is e^x to the last digit of float32, and ln softplus(x) is x, also where e^x underflows."""


def log_softplus(x: Tensor) -> Tensor:
    """ln softplus(x), finite for any finite x."""
    return torch.where(x < TAIL, x, softplus(x.clamp(min=TAIL)).log())


class CountLikelihood(Likelihood):
    """Base of likelihoods of counts with mean softplus(decoded); ln x! is part of their cost, as it differs between images."""

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Pixels must be counts."""
        return None if assembly.dataset.pixels == "count" else f"it needs counts, and the numbers of '{assembly.dataset.name}' are none"

    def max_log_prob(self) -> Tensor:
        """0: probabilities are at most 1."""
        return torch.zeros(())

    def mean(self, decoded: Tensor) -> Tensor:
        """softplus(decoded)."""
        return softplus(decoded)


class PoissonLikelihood(CountLikelihood):
    """Pois(rate) in each pixel, with rate = softplus(decoded)."""

    name = "poisson"

    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """Rate - x ln rate + ln x!, summed over pixels [B]."""
        return (softplus(decoded) - images * log_softplus(decoded) + torch.lgamma(images + 1)).flatten(1).sum(1)


class NegativeBinomialLikelihood(CountLikelihood):
    """Counts with mean m = softplus(decoded) and variance m + m^2 / r in each pixel; the size r is learned, ln r softly limited to 3.45."""

    name = "negative_binomial"

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        self.log_size = Parameter(torch.zeros(()))

    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """(x + r) ln(r + m) - x ln m - r ln r - ln Gamma(x + r) + ln Gamma(r) + ln x!, summed over pixels [B]."""
        log_size, log_mean = limited(self.log_size), log_softplus(decoded)
        size = log_size.exp()
        # ln(r + m) less ln r or ln m: neither cancels.
        from_size, from_mean = softplus(log_mean - log_size), softplus(log_size - log_mean)
        binomial = torch.lgamma(images + size) - torch.lgamma(size) - torch.lgamma(images + 1)
        return (images * from_mean + size * from_size - binomial).flatten(1).sum(1)
