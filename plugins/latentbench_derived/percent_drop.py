"""`percent_drop`: how much worse a run is than the best one of its kind (Poisson VAE, Table 2 and Fig. 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from latentbench.reporting import Derived, Measure, Options, Query, UserError, alike, declarations, matching, select


class PercentDropOptions(Options):
    """Options of `percent_drop`."""

    of: str = Field("nelbo", description="The metric.")
    over: str = Field("estimator", description="The settings, separated by spaces, over which, and over seeds, the best run is taken.")


class PercentDrop(Derived):
    """Percent by which every run is worse than the best single run over all estimators and seeds, all other settings being the same:

        100 |value - best| / |best|    (Table 2; Fig. 7 shows the values of single runs)

    The best is that of the same results folder, and of all estimators, whichever of them `only` selects for display.
    """

    name = "percent_drop"
    options_model = PercentDropOptions
    options: PercentDropOptions
    measure = Measure("lower", "%", "How much worse than the best single run over estimators and seeds.")

    def derive(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """A value of every run."""
        of, over = self.options.of, self.options.over
        declared = declarations(stores).get(of)
        if declared is None or declared.better is None:
            raise UserError(f"{self.name}: these results do not say whether a higher or a lower '{of}' is better, so none is the best")
        apart = {name for setting in over.split() for name in (setting, f"{setting}_options")}
        shown = {key: allowed for key, allowed in query.only.items() if {key, key.partition(".")[0]} & apart}
        wide = {key: allowed for key, allowed in query.only.items() if key not in shown}
        values = select(stores, replace(query, metric=of, only=wide, values_of="runs"))
        values["metric"] = query.metric
        for group in alike(values, apart):
            finite = group.loc[np.isfinite(group["value"].astype(float)), "value"]
            best = finite.min() if declared.better == "lower" else finite.max()
            if best == 0:
                raise UserError(f"{self.name}: the best '{of}' of run {group.loc[group['value'] == 0, 'run_id'].iloc[0]} is 0, and has no percent")
            values.loc[group.index, "value"] = 100 * (group["value"] - best).abs() / abs(best)
        return matching(values, shown)
