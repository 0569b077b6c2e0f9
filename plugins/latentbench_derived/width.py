"""`effective_width`: how much a run of `poisson` smooths its counts when training ends, at whatever relaxation and temperature it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from pydantic import Field

from latentbench.reporting import Derived, Measure, Options, Query, column_of, select

FAMILY, RELAXATION = "poisson", "sigmoid"
"""The family that relaxes counts, and what it does in runs that do not say."""


class EffectiveWidthOptions(Options):
    """Options of `effective_width`."""

    of: str = Field("nelbo", description="The metric of which a run must have a value.")


class EffectiveWidth(Derived):
    """The share of a count's variance that a run's relaxation takes at its last temperature, beyond what it does to the mean, with all arrivals.

    Equal temperatures are not equal smoothing: a sigmoid at T takes as much as a cubic ramp at 3.9 T. Only runs of `poisson` have one, and of these
    only those whose estimator relaxes counts: `exact` and `rloo` have no temperature.
    """

    name = "effective_width"
    options_model = EffectiveWidthOptions
    options: EffectiveWidthOptions
    measure = Measure(None, "share", "Share of a count's variance that the relaxation takes at the last temperature of training.")

    def derive(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """A value of every run of `poisson` that has the metric `of` and a temperature."""
        from latentbench.api import effective_width  # it imports torch

        rows = select(stores, replace(query, metric=self.options.of, values_of="runs"))
        rows = rows[(rows["family"] == FAMILY) & rows["value"].notna() & (column_of(rows, "training.temperature_stop") != "")]
        about = zip(column_of(rows, "family_options.relaxation"), column_of(rows, "training.temperature_stop"), strict=True)
        return rows.assign(metric=query.metric, value=[effective_width(kind or RELAXATION, float(t)) for kind, t in about])  # type: ignore[arg-type]  # as stored
