"""`rate_distortion`: bits an image against squared error, and what the bits are about."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field, PositiveFloat
from torch import Generator, Tensor

from latentbench.api import Evaluation, EvaluationOptions, IteratedPosterior, IterativeFamily, Measure, Metric, Outcome, Posterior, Trained
from latentbench_evaluations.bounds import CHUNK
from latentbench_evaluations.chosen import Chosen, noise
from latentbench_evaluations.elbo import squared_error

BITS = 1 / math.log(2)
"""Bits of a nat."""


class RateDistortionOptions(EvaluationOptions):
    """Options of `rate_distortion`."""

    images: int | None = Field(1000, gt=0, description="Images of the split, evenly spaced; null takes all. The time grows with their square.")
    bin_widths: list[PositiveFloat] = Field(
        default=[0.05, 0.1, 0.2, 0.5, 1.0], min_length=1, description="Bins that the codes of sparse coders are rounded to, in units of z."
    )


class RateDistortion(Evaluation):
    """`rate_bits`, the KL to the prior in bits an image, against `distortion`, the squared error of a decoded sample, summed over pixels.

    Of families that infer in steps it is that of the last posterior from the first prior, not the mean over steps that their free energy has.
    The rate is the information that codes have about images plus the divergence of the aggregate posterior from the prior (Hoffman & Johnson 2016).
    `mutual_information_bits` is a lower bound of the former with the measured images in place of all, at most log2 of their number, and
    `mutual_information_upper_bits` leaves the image itself out of the aggregate, which makes it an upper bound (Poole et al. 2019);
    `aggregate_kl_bits`, the rate less the lower bound, is an upper bound of the latter. For sparse coders, which have no rate, `code_length_bits` is
    that of an ideal code for each unit's rounded values, against `code_distortion`, by `bin_width`.
    """

    name = "rate_distortion"
    options_model = RateDistortionOptions
    metrics = {
        "rate_bits": Measure(None, "bits", "KL of the posterior from the prior, an image.", of_kl=True),
        "distortion": Measure("lower", "squared pixel values", "Squared error of a decoded sample, summed over pixels."),
        "mutual_information_bits": Measure(None, "bits", "Lower bound of I(x; z), at most log2 of the number of images."),
        "mutual_information_upper_bits": Measure(None, "bits", "Upper bound of I(x; z), from the other images' posteriors."),
        "aggregate_kl_bits": Measure("lower", "bits", "Upper bound of the KL of the aggregate posterior from the prior.", of_kl=True),
        "code_length_bits": Measure("lower", "bits", "Ideal code length of a point code that is rounded, unit by unit.", "bin_width"),
        "code_distortion": Measure("lower", "squared pixel values", "Squared error of the decoded rounded code.", "bin_width"),
    }

    def __init__(self, options: RateDistortionOptions) -> None:
        self.options = options

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On one split."""
        split, images = self.options.split, trained.splits[self.options.split].images
        chosen = Chosen.of(len(images), self.options.images)
        if not trained.assembly.family.has_posterior:
            return Outcome(self._point_codes(trained, images[chosen.places], trained.codes(split).mean[chosen.places]))
        found = _rates(trained, images[chosen.places], noise(generator, trained.model.device))
        per_image, arrays = chosen.stored(split, found)
        return Outcome([Metric.mean(name, values, split) for name, values in found.items()], arrays=arrays, images=per_image)

    def _point_codes(self, trained: Trained, images: Tensor, z: Tensor) -> list[Metric]:
        metrics, split = [], self.options.split
        for width in sorted(set(self.options.bin_widths)):
            rounded = (z / width).round()
            error = squared_error(images.cpu(), trained.decode(rounded * width))
            for name, values in (("code_length_bits", code_lengths(rounded)), ("code_distortion", error)):
                metrics.append(Metric.mean(name, values, split).at("bin_width", width))
        return metrics


def _rates(trained: Trained, images: Tensor, draws: Generator) -> Mapping[str, Tensor]:
    """Every metric of each image [N], on the CPU."""
    model = trained.model
    on_device = images.to(model.device, model.dtype)
    with torch.no_grad():
        q = model.encode(on_device, draws)
        assert isinstance(q, Posterior), "the family says that it has a posterior"
        z = q.sample(draws)
        rate = BITS * _divergence(trained, q, z, draws).double().sum(1).cpu()
        lower, upper = information(q, z)
    found = {
        "rate_bits": rate,
        "distortion": squared_error(images.cpu(), trained.decode(z)),
        "mutual_information_bits": BITS * lower,
        "aggregate_kl_bits": rate - BITS * lower,
    }
    return found | ({"mutual_information_upper_bits": BITS * upper} if len(images) > 1 else {})


def _divergence(trained: Trained, q: Posterior, z: Tensor, draws: Generator) -> Tensor:
    """KL(q || p) in nats [N, G]; where a family that infers in steps has no closed form, ln q(z) - ln p(z) at the sample z [N, K]."""
    family = trained.model.family
    if not isinstance(family, IterativeFamily):
        return q.kl(draws)
    assert isinstance(q, IteratedPosterior), "an iterative family encodes to iterated posteriors"
    p = family.prior(len(z))
    exact = family.divergence(q.last, p)
    return q.log_prob(z) - p.log_prob(z) if exact is None else exact


def information(q: Posterior, z: Tensor) -> tuple[Tensor, Tensor]:
    """ln q(z_i | x_i) - ln of the mean of q(z_i | x_j) over all j, and over all j but i, in nats [N], in float64 on the CPU.

    Args:
        q: the posteriors of N images.
        z: a sample of each [N, K].
    """
    n, chunk = len(z), max(1, CHUNK // z.numel())
    rows = [q.log_prob(some[:, None].expand(-1, n, -1)).double().sum(-1) for some in z.split(chunk)]
    log_q = torch.cat(rows).cpu()  # [N, N], at i, j: ln q(z_i | x_j)
    others = log_q.masked_fill(torch.eye(n, dtype=torch.bool), -math.inf)
    own = log_q.diagonal()
    return own - log_q.logsumexp(1) + math.log(n), own - others.logsumexp(1) + math.log(max(n - 1, 1))


def code_lengths(symbols: Tensor) -> Tensor:
    """-log2 of the frequency of each unit's symbol, summed over units [N], of symbols [N, K]; each unit's Miller-Madow term (V - 1) / (2 N) added.

    The mean is the sum of the units' entropies, estimated: dependence between units would make a joint code shorter.
    """
    total = torch.zeros(len(symbols), dtype=torch.float64)
    for column in symbols.cpu().T:
        values, place, counts = column.unique(return_inverse=True, return_counts=True)
        total += -(counts.double() / len(column)).log2()[place] + BITS * (len(values) - 1) / (2 * len(column))
    return total
