"""`log_likelihood`: ln p(x), exactly where that can be, and by importance-weighted bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import Field, PositiveInt
from torch import Generator, Tensor

from latentbench.api import Assembly, Evaluation, EvaluationOptions, Measure, Metric, Options, Outcome, Posterior, Trained
from latentbench_evaluations.bounds import bound, effective_sample_size, log_weights, noise_variance
from latentbench_evaluations.chosen import BATCH, Chosen, noise
from latentbench_evaluations.exact_likelihood import Exact, enumerated, linear_gaussian

INDEX = "S"


class LogLikelihoodOptions(EvaluationOptions):
    """Options of `log_likelihood`."""

    samples: list[PositiveInt] = Field(default=[1, 64, 5000], min_length=1, description="Samples S of the importance-weighted bounds.")
    images: int | None = Field(500, gt=0, description="Images of the split, evenly spaced; null takes all.")
    exact: bool = Field(True, description="Whether ln p(x) is computed exactly too, as the point S = 0, where it can be.")
    codes: int = Field(4096, ge=1, description="Codes of discrete latents to sum over, at most.")
    tolerance: float = Field(1e-3, gt=0, description="Largest error in nats of a sum over counts, which are cut off.")


@dataclass(frozen=True)
class Measured:
    """What one batch gives: log-weights [S, B], and ln p(x) where it is exact."""

    log_w: Tensor
    exact: Exact | None


class LogLikelihood(Evaluation):
    """ln p(x) of images, in nats and in bits a dimension, with all constants; higher is better, and unlike `nelbo` it is no property of the encoder.

    At index S > 0 it is the importance-weighted bound with S samples of the posterior, E ln (1/S) sum_s p(x, z_s) / q(z_s | x) (Burda et al. 2016),
    which is at most ln p(x), rises with S, and is the evidence lower bound at S = 1. All bounds come from the same max(S) samples, in whole
    blocks of S. At S = 0 it is exact: N(b + Phi m, Phi diag(v) Phi' + noise) for a linear decoder with Gaussian latents and noise, or a sum over
    all values of discrete latents; where counts are cut off, `log_likelihood_error` says by how much it is too small at most.

    The standard error is over images. `log_likelihood_noise` is that of the draws with these images fixed, `effective_sample_size` says how many
    samples carry the weight.
    """

    name = "log_likelihood"
    options_model = LogLikelihoodOptions
    metrics = {
        "log_likelihood": Measure("higher", "nats", "ln p(x): exact at S = 0, else its importance-weighted lower bound of S samples.", INDEX),
        "bits_per_dimension": Measure("lower", "bits", "-ln p(x) / (M ln 2), of a density where images are real numbers.", INDEX),
        "effective_sample_size": Measure("higher", "samples", "(sum w)^2 / sum w^2 of the S weights of an image.", INDEX),
        "log_likelihood_noise": Measure("lower", "nats", "Standard error of the mean bound over draws, the images fixed.", INDEX),
        "log_likelihood_error": Measure("lower", "nats", "How much the exact value of an image is too small at most.", INDEX),
    }

    def __init__(self, options: LogLikelihoodOptions) -> None:
        self.options = options

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A posterior and a prior are needed."""
        return None if assembly.family.has_posterior else f"it needs p(z) and q(z | x), and '{assembly.family.name}' infers points"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On one split."""
        split, images = self.options.split, trained.splits[self.options.split].images
        chosen, draws = Chosen.of(len(images), self.options.images), noise(generator, trained.model.device)
        measured = [self._batch(trained, images[places], draws) for places in chosen.places.split(BATCH)]
        log_w, pixels = torch.cat([m.log_w for m in measured], 1), images[0].numel()
        metrics = [metric for size in sorted(set(self.options.samples)) for metric in _bounds(log_w, size, pixels, split)]
        best = bound(log_w, max(self.options.samples))
        exact = [m.exact for m in measured if m.exact is not None]
        if len(exact) == len(measured):
            best = torch.cat([e.log_likelihood for e in exact])
            metrics += [*_values(best, 0, pixels, split), _error(exact, split)]
        per_image, arrays = chosen.stored(split, {"log_likelihood": best})
        return Outcome(metrics, arrays=arrays, images=per_image)

    def _batch(self, trained: Trained, images: Tensor, draws: Generator) -> Measured:
        images = images.to(trained.model.device, trained.model.dtype)
        with torch.no_grad():
            q = trained.model.encode(images, draws)
        assert isinstance(q, Posterior), "the plan leaves this evaluation out where there is no posterior"
        log_w = log_weights(trained, images, q, max(self.options.samples), draws)
        return Measured(log_w, self._exact(trained, images, bound(log_w, max(self.options.samples))) if self.options.exact else None)

    def _exact(self, trained: Trained, images: Tensor, lower: Tensor) -> Exact | None:
        return linear_gaussian(trained, images) or enumerated(trained, images, lower, self.options.tolerance, self.options.codes)


def _values(log_p: Tensor, size: int, pixels: int, split: str) -> list[Metric]:
    """The mean of ln p(x) [N], in both units."""
    bits = -log_p / (pixels * math.log(2))
    return [Metric.mean(name, value, split).at(INDEX, size) for name, value in (("log_likelihood", log_p), ("bits_per_dimension", bits))]


def _bounds(log_w: Tensor, size: int, pixels: int, split: str) -> list[Metric]:
    """The bound of S samples and how good its estimate is."""
    ess, variance = effective_sample_size(log_w, size), noise_variance(log_w, size)
    metrics = _values(bound(log_w, size), size, pixels, split)
    if size > 1:
        metrics.append(Metric.mean("effective_sample_size", ess, split).at(INDEX, size))
    if len(log_w) > 1:  # one draw does not tell how draws vary
        metrics.append(Metric("log_likelihood_noise", float(variance.sum().sqrt() / len(variance)), split, n=len(variance)).at(INDEX, size))
    return metrics


def _error(exact: Sequence[Exact], split: str) -> Metric:
    """The largest error of an image."""
    return Metric("log_likelihood_error", float(torch.cat([e.error for e in exact]).max()), split).at(INDEX, 0)
