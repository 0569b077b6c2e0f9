"""`active_units`: how many latents encode anything."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from latentbench.api import Assembly, Evaluation, EvaluationOptions, Measure, Metric, Options, Outcome, PerUnit, Trained, dictionary_of
from latentbench_evaluations.dead_units import FIGURE_KL, FIGURE_NORM, dead_by_rule, dead_in_figures, needs_norms

CURVE = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Thresholds of the curve, in nats."""
BATCH = 1000
"""Images of a batch in the authors' validation of models of 16x16 patches; theirs for MNIST divides its images evenly."""


class ActiveUnitsOptions(EvaluationOptions):
    """Options of `active_units`."""

    threshold: float = Field(0.01, ge=0, description="KL in nats above which a latent counts as active; for the rule `threshold`.")
    rule: Literal["threshold", "paper", "figure4"] = Field(
        "threshold", description="`paper`: the authors' rules by family and data set (Table 3); `figure4`: their fixed thresholds by family."
    )


class ActiveUnits(Evaluation):
    """The share of latents whose mean KL over the images of a split is above a threshold (`active_fraction`), and how many are not (`dead_units`).

    A threshold that suits one family may flatter another, so the share is also given over a range of thresholds (`active_fraction_at`, indexed
    by `threshold`). Latents are those of the KL: for one-hot vectors, groups. With `rule: paper` the published rules decide, which differ between
    families; for the categorical and for Poisson with a linear encoder on patches they look at the norms of dictionary elements. With
    `rule: figure4` the fixed thresholds of Figs. 4 and 10 do.
    """

    name = "active_units"
    version = "4"
    options_model = ActiveUnitsOptions
    metrics = {
        "active_fraction": Measure("higher", "share of latents", "Latents that are active.", of_kl=True),
        "dead_units": Measure("lower", "latents", "Latents that are not active.", of_kl=True),
        "active_fraction_at": Measure(None, "share of latents", "Latents whose mean KL is above the threshold.", "threshold", of_kl=True),
    }

    def __init__(self, options: ActiveUnitsOptions) -> None:
        self.threshold, self.rule, self.split = options.threshold, options.rule, options.split

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A KL is needed; by the authors' rules sometimes a dictionary, and in the figures a threshold for the family."""
        if not assembly.family.has_posterior:
            return f"it needs a posterior, and '{assembly.family.name}' infers points"
        assert isinstance(options, ActiveUnitsOptions)
        family = assembly.family.name
        if options.rule == "figure4" and family not in {**FIGURE_KL, **FIGURE_NORM}:
            return f"the authors' figures have no threshold for '{family}'; they have one for {', '.join({**FIGURE_KL, **FIGURE_NORM})}"
        norms = {"threshold": False, "paper": needs_norms(family, assembly.dataset.name, _linear_encoder(assembly)), "figure4": family in FIGURE_NORM}
        if norms[options.rule] and not assembly.linear_decoder:
            return f"the authors' rule for '{family}' needs a linear decoder here"
        return None

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On one split."""
        kl = trained.codes(self.split).kl
        assert kl is not None, "the plan leaves this evaluation out where there is no posterior"
        mean = kl.double().mean(0)
        active = mean > self.threshold if self.rule == "threshold" else ~self._dead_as_published(trained, kl)
        metrics = [
            Metric("active_fraction", float(active.double().mean()), self.split, n=len(active)),
            Metric("dead_units", float((~active).sum()), self.split, n=len(active)),
        ]
        for threshold in CURVE:
            share = float((mean > threshold).double().mean())
            metrics.append(Metric("active_fraction_at", share, self.split, n=len(mean), index_name="threshold", index=threshold))
        return Outcome(metrics, [PerUnit("active", active, self.split)])

    def _dead_as_published(self, trained: Trained, kl: Tensor) -> Tensor:
        """With their mean of batch means, in which a short last batch counts fully."""
        assembly = trained.assembly
        means = torch.stack([batch.double().mean(0) for batch in kl.split(BATCH)]).mean(0)
        norms = dictionary_of(trained.model.decoder)[0].detach().cpu().norm(dim=0) if assembly.linear_decoder else None
        if self.rule == "figure4":
            return dead_in_figures(assembly.family.name, means, norms)
        return dead_by_rule(assembly.family.name, assembly.dataset.name, _linear_encoder(assembly), means, norms)


def _linear_encoder(assembly: Assembly) -> bool:
    return assembly.encoder is not None and assembly.encoder.linear
