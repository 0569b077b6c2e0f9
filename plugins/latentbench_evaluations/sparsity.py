"""`sparsity`: how selective units are, and how few are active at a time."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Generator, Tensor

from latentbench.api import Evaluation, Measure, Metric, Options, Outcome, PerUnit, Trained


class SparsityOptions(Options):
    """Options of `sparsity`."""

    threshold: float = Field(0.01, ge=0, description="KL in nats above which a latent counts as active.")


class Sparsity(Evaluation):
    """Vinje & Gallant's sparsity (Poisson VAE, eq. 5) of |z|: over images for each unit (lifetime), over units for each image (population).

    A unit that ignores its input is not at 0: it has the lifetime sparsity of the prior. So beside each number stands its value for samples of
    the prior (`..._prior`), and for active units alone (`..._active`; where latents are groups, the units of active groups). `zero_fraction` is
    the share of samples that are exactly 0.
    """

    name = "sparsity"
    options_model = SparsityOptions
    metrics = {
        f"{name}{suffix}": Measure(None, unit, f"{meaning}{of}.")
        for suffix, of in (("", ""), ("_active", ", of active units"), ("_prior", ", of samples of the prior"))
        for name, unit, meaning in (
            ("lifetime_sparsity", "0 to 1", "Selectivity of a unit over images"),
            ("population_sparsity", "0 to 1", "Selectivity of an image over units"),
            ("zero_fraction", "share of samples", "Samples that are exactly 0"),
        )
    }

    def __init__(self, options: SparsityOptions) -> None:
        self.threshold = options.threshold

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On the validation split."""
        codes = trained.codes("validation")
        metrics = sparsities(codes.sample, "")
        if codes.kl is not None:
            active = codes.kl.mean(0) > self.threshold
            columns = active.repeat_interleave(codes.sample.shape[1] // len(active))
            if columns.any():
                metrics += sparsities(codes.sample[:, columns], "_active")
        prior = trained.prior_samples(len(codes.sample))
        if prior is not None:
            metrics += sparsities(prior, "_prior")
        return Outcome(metrics, [PerUnit("lifetime_sparsity", lifetime_sparsity(codes.sample))] if len(codes.sample) > 1 else [])


def sparsities(z: Tensor, suffix: str) -> list[Metric]:
    """The three measures of samples z [N, K], with standard errors over units, images and units.

    There is no lifetime sparsity over one image, and no population sparsity over one unit: they are left out.
    """
    measures = {"lifetime_sparsity": z, "population_sparsity": z.T}
    metrics = [Metric.mean(f"{name}{suffix}", lifetime_sparsity(over)) for name, over in measures.items() if len(over) > 1]
    return [*metrics, Metric.mean(f"zero_fraction{suffix}", (z == 0).double().mean(0))]


def lifetime_sparsity(z: Tensor) -> Tensor:
    """(1 - (sum_i |z_i|)^2 / (N sum_i z_i^2)) / (1 - 1/N) of each column of z [N, K] (eq. 5).

    1 for a unit that responds to one of N images, and for one that never does; 0 for one that responds alike to all. NaN where N is 1.
    """
    z = z.double().abs()
    n = len(z)
    energy = z.square().sum(0)
    evenness = (z.sum(0).square() / (n * energy)).where(energy > 0, 1 / n)
    return (1 - evenness) / (1 - 1 / n) if n > 1 else torch.full_like(energy, math.nan)
