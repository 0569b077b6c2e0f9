"""What evaluations that integrate or sum over z are told of a likelihood: its variance where it is Gaussian, and its maximum."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.distributions import Normal

from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds
from latentbench.testing.likelihoods.subject import LikelihoodSubject


@check(
    "where `noise_variance` is given, ln p(x | z) is that of N(decoded, noise_variance) in each pixel",
    "a standard deviation for a variance, or a learned scale before its limit",
)
def noise_variance(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """The kit's images and what is decoded."""
    if subject.built(subject.kinds[0]).noise_variance() is None:
        raise InapplicableError("it gives no noise variance")
    for kind in subject.kinds:
        likelihood, images, decoded = subject.built(kind), subject.images(kind), subject.decoded(kind)
        variance = likelihood.noise_variance()
        assert variance is not None, "it depends on no kind of pixels"
        expected = Normal(decoded, variance.to(decoded).sqrt()).log_prob(images).flatten(1).sum(1)
        worst = float((likelihood.log_prob(images, decoded) - expected).abs().max().detach())
        yield holds(f"{kind}: ln p differs from that of N(decoded, noise_variance) by {worst:.3g}", worst < 1e-6)


@check(
    "no ln p(x | z) exceeds `max_log_prob`, where that is given",
    "a density is taken for a probability, or the bound is that of one pixel",
)
def max_log_prob(subject: LikelihoodSubject, effort: Effort) -> Iterator[Trial]:
    """The kit's images, and the means of what is decoded."""
    if subject.built(subject.kinds[0]).max_log_prob() is None:
        raise InapplicableError("it gives no maximum")
    for kind in subject.kinds:
        likelihood, decoded = subject.built(kind), subject.decoded(kind)
        with torch.no_grad():
            most = likelihood.max_log_prob()
        assert most is not None, "it depends on no kind of pixels"
        for images in (subject.images(kind), likelihood.mean(decoded).detach()):
            largest = float(likelihood.log_prob(images, decoded).detach().max())
            yield holds(f"{kind}: largest ln p {largest:.6g}, stated maximum {float(most):.6g}", largest <= float(most) + 1e-6)
