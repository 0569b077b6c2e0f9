"""`active_units`: how many latents encode anything."""

from __future__ import annotations

from pydantic import Field
from torch import Generator

from latentbench.evaluation import Evaluation, Metric, Outcome, Trained
from latentbench.part import Assembly, Options

CURVE = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Thresholds of the curve, in nats."""


class ActiveUnitsOptions(Options):
    """Options of `active_units`."""

    threshold: float = Field(0.01, ge=0, description="KL in nats above which a latent counts as active.")


class ActiveUnits(Evaluation):
    """The share of latents whose mean KL over the validation images is above a threshold (`active_fraction`).

    A threshold that suits one family may flatter another, so the share is also given over a range of thresholds (`active_fraction_at`, indexed
    by `threshold`). Latents are those of the KL: for one-hot vectors, groups.
    """

    name = "active_units"
    options_model = ActiveUnitsOptions
    better = {"active_fraction": "higher"}

    def __init__(self, options: ActiveUnitsOptions) -> None:
        self.threshold = options.threshold

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A KL is needed."""
        return None if assembly.family.has_posterior else f"it needs a posterior, and '{assembly.family.name}' infers points"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On the validation split."""
        kl = trained.codes("validation").kl
        assert kl is not None, "the plan leaves this evaluation out where there is no posterior"
        mean = kl.double().mean(0)
        metrics = [Metric("active_fraction", float((mean > self.threshold).double().mean()), n=len(mean))]
        for threshold in CURVE:
            share = float((mean > threshold).double().mean())
            metrics.append(Metric("active_fraction_at", share, n=len(mean), index_name="threshold", index=threshold))
        return Outcome(metrics)
