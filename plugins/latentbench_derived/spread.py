"""`spread`: over how many latents a representation is spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from pydantic import Field

from latentbench.reporting import Derived, Measure, Options, Query, UserError, named, select, units_of


class SpreadOptions(Options):
    """Options of `spread`."""

    of: str = Field("kl", description="The metric whose values per latent are compared; none is negative.")


class Spread(Derived):
    """The participation ratio of latents in a metric, their KL unless another is named:

        (sum_k v_k)^2 / sum_k v_k^2

    K where all latents carry as much, 1 where one carries all; unlike a count of active units it has no threshold.
    """

    name = "spread"
    options_model = SpreadOptions
    options: SpreadOptions
    measure = Measure(None, "latents", "Over how many latents the KL is spread: its participation ratio.")

    def derive(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """A value of every run."""
        of = self.options.of
        values = select(stores, replace(query, metric=of, values_of="runs"))
        units = units_of(stores, of, query.split)
        key = ["store", "run_id", "evaluation_id"]
        sums = units.assign(square=units["value"] ** 2).groupby(key)[["value", "square"]].sum()
        least = units.groupby(key)["value"].min()
        found = values[values["value"].notna()].set_index(key).index
        without = values[values["value"].notna() & ~values.set_index(key).index.isin(sums.index)]
        if len(without):
            raise UserError(f"{self.name}: '{of}' of single latents is not stored for {named(without)}")
        negative = values[values.set_index(key).index.isin(least[least < 0].index)]
        if len(negative):
            raise UserError(f"{self.name}: '{of}' of some latents of {named(negative)} is negative, and is no share of a sum")
        values.loc[values["value"].notna(), "value"] = (sums["value"] ** 2 / sums["square"]).reindex(found).to_numpy()
        return values.assign(metric=query.metric)
