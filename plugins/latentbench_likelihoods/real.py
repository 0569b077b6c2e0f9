"""`gaussian` and `student_t`: real numbers about what is decoded, with a fixed or a learned scale."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import Parameter

from latentbench.api import Assembly, Likelihood, Options, added
from latentbench_likelihoods.scale import LOG_LIMIT, limited


class GaussianOptions(Options):
    """Options of `gaussian`."""

    variance: Literal["fixed", "global", "pixel", "decoded"] = added(
        "fixed", neutral="fixed", description="1/2; or learned: one for all pixels, one for each, or a second number of each that is decoded."
    )


class GaussianLikelihood(Likelihood):
    """N(mu, sigma^2) in each pixel, mu the first number that is decoded.

    With sigma^2 = 1/2 the cost is the squared error, and -ln p is (M/2) ln pi more (Poisson VAE, eq. 3). With a learned ln sigma, softly limited to
    3.45 either way, it is the sum over pixels of ((x - mu) / sigma)^2 / 2 + ln sigma, and -ln p is (M/2) ln 2 pi more.
    """

    name = "gaussian"
    options_model = GaussianOptions

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, GaussianOptions)
        self.variance, self.pixels = options.variance, math.prod(assembly.data_shape)
        self.constant = self.pixels / 2 * math.log(math.pi if self.variance == "fixed" else 2 * math.pi)
        if self.variance in ("global", "pixel"):
            self.log_scale = Parameter(torch.zeros(assembly.data_shape if self.variance == "pixel" else ()))

    @classmethod
    def numbers(cls, options: Options) -> int:
        """The mean and, where it is decoded, ln sigma before its limit."""
        assert isinstance(options, GaussianOptions)
        return 2 if options.variance == "decoded" else 1

    @classmethod
    def is_quadratic(cls, options: Options) -> bool:
        """With the fixed variance."""
        assert isinstance(options, GaussianOptions)
        return options.variance == "fixed"

    def noise_variance(self) -> Tensor | None:
        """1/2, or the learned variance, which is none where it is decoded."""
        if self.variance == "decoded":
            return None
        return torch.tensor(0.5) if self.variance == "fixed" else (2 * limited(self.log_scale)).exp()

    def max_log_prob(self) -> Tensor:
        """Where x = mu: -constant, less ln sigma of all pixels, or with a decoded sigma less its lower limit."""
        if self.variance == "fixed":
            return torch.tensor(-self.constant)
        log_scale = torch.tensor(-LOG_LIMIT) if self.variance == "decoded" else limited(self.log_scale)
        return -self.constant - log_scale.expand(self.pixels if log_scale.ndim == 0 else log_scale.shape).sum()

    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """|x - mu|^2, or the sum of ((x - mu) / sigma)^2 / 2 + ln sigma [B]."""
        if self.variance == "fixed":
            return (images - decoded).square().flatten(1).sum(1)
        log_scale = limited(decoded.chunk(2, dim=1)[1] if self.variance == "decoded" else self.log_scale)
        standard = (images - self.mean(decoded)) * (-log_scale).exp()
        return (0.5 * standard.square() + log_scale).flatten(1).sum(1)

    def mean(self, decoded: Tensor) -> Tensor:
        """The first number of each pixel."""
        return decoded.chunk(2, dim=1)[0] if self.variance == "decoded" else decoded


class StudentTOptions(Options):
    """Options of `student_t`."""

    df: float = Field(4.0, gt=0, description="Degrees of freedom: the fewer, the heavier the tails.")


class StudentTLikelihood(Likelihood):
    """Student's t with `df` degrees of freedom about what is decoded, in each pixel, and one learned scale sigma.

    The cost is the sum over pixels of (df + 1)/2 ln(1 + ((x - decoded) / sigma)^2 / df) + ln sigma; the rest of -ln p depends on df alone.
    """

    name = "student_t"
    options_model = StudentTOptions

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, StudentTOptions)
        self.df = options.df
        normaliser = math.lgamma((self.df + 1) / 2) - math.lgamma(self.df / 2) - 0.5 * math.log(self.df * math.pi)
        self.pixels = math.prod(assembly.data_shape)
        self.constant = -self.pixels * normaliser
        self.log_scale = Parameter(torch.zeros(()))

    def max_log_prob(self) -> Tensor:
        """Where x is what is decoded: -constant - M ln sigma."""
        return -self.constant - self.pixels * limited(self.log_scale)

    def reconstruction(self, images: Tensor, decoded: Tensor) -> Tensor:
        """(df + 1)/2 ln(1 + ((x - decoded) / sigma)^2 / df) + ln sigma, summed over pixels [B]."""
        log_scale = limited(self.log_scale)
        distance = (images - decoded).abs() * (-log_scale).exp() / math.sqrt(self.df)
        # ln(1 + d^2) = 2 ln d + ln(1 + d^-2), whose square does not overflow where d is large.
        near, far = distance.clamp(max=1), distance.clamp(min=1)
        logarithm = torch.where(distance < 1, torch.log1p(near.square()), 2 * far.log() + torch.log1p(far.reciprocal().square()))
        return ((self.df + 1) / 2 * logarithm + log_scale).flatten(1).sum(1)

    def mean(self, decoded: Tensor) -> Tensor:
        """Decoded itself: the mean where df > 1, the median in any case."""
        return decoded
