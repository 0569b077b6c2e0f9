"""`best_of_sweep`: the best of many settings, chosen on one split and reported on another (the paper's best of 54 sparse coders)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from latentbench.reporting import Derived, Measure, Options, Query, UserError, alike, by_seed, column_of, declarations, named, select, varying


class BestOfSweepOptions(Options):
    """Options of `best_of_sweep`."""

    of: str = Field("sse_at_mean", description="The metric that is reported.")
    by: str | None = Field(None, description="The metric that the best is chosen by; `of` without it.")
    on: str = Field("train", description="The split on which it is chosen, which is another than that of the report.")
    over: str | None = Field(
        None, description="The settings to choose among, separated by spaces; without it all that vary and name neither rows nor columns."
    )


class BestOfSweep(Derived):
    """A metric of the runs of the best setting of a sweep: that whose mean over seeds is best by a metric on another split.

    Numbers that were chosen because they are good are too good; on another split than that of the choice they are not. Settings that lack a seed that
    others have are no candidates, and the first of several that are as good is taken. The column `note` says which setting it is, of how many.
    """

    name = "best_of_sweep"
    options_model = BestOfSweepOptions
    options: BestOfSweepOptions
    measure = Measure(None, "that of the metric", "A metric of the best setting of a sweep, which was chosen on another split.")

    def derive(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """The rows of the chosen runs."""
        by, on = self.options.by or self.options.of, self.options.on
        if on == query.split:
            raise UserError(f"{self.name}: chosen and reported on the same split, {on}, the best of many is too good; choose with on=... another")
        declared = declarations(stores).get(by)
        if declared is None or declared.better is None:
            raise UserError(f"{self.name}: these results do not say whether a higher or a lower '{by}' is better; choose another metric with by=...")
        choosing = select(stores, replace(query, metric=by, split=on, values_of="runs"))
        reported = select(stores, replace(query, metric=self.options.of, values_of="runs"))
        chosen = []
        for group, over in self._sweeps(choosing, query):
            best, about = self._best(group, over, declared.better)
            rows = reported.merge(best[["store", "run_id"]], on=["store", "run_id"])
            if len(rows) < len(best):
                raise UserError(f"{self.name}: {named(best)} were chosen, and not all have '{self.options.of}' on {query.split}")
            note = f"{query.metric} of {', '.join(sorted(set(best['family'])))}: {about}, by {by} on {on}"
            chosen.append(rows.assign(metric=query.metric, note=note))
        return pd.concat(chosen, ignore_index=True)

    def _sweeps(self, values: pd.DataFrame, query: Query) -> Iterator[tuple[pd.DataFrame, list[str]]]:
        """The runs among which to choose, and the settings in which they differ."""
        if self.options.over is not None:
            over = self.options.over.split()
            yield from ((group, over) for group in alike(values, over))
            return
        names = [*query.rows, *query.columns]
        if not names:
            raise UserError(f"{self.name}: say which settings to choose among, as in over=family_options.l1_weight, or name rows and columns")
        for _, group in values.groupby([column_of(values, name) for name in names]):
            yield group, [name for name in varying(group) if not name.startswith(("plugins.", "source"))]

    def _best(self, group: pd.DataFrame, over: list[str], better: str) -> tuple[pd.DataFrame, str]:
        """The runs of the best setting, and which it is.

        Raises:
            UserError: no setting has all seeds.
        """
        seeds = set(group["seed"])
        candidates = list(alike(group, ()))
        whole = [by_seed(rows) for rows in candidates if np.isfinite(rows["value"].astype(float)).all() and set(rows["seed"]) == seeds]
        if not whole:
            raise UserError(f"{self.name}: of {len(candidates)} settings none has a value for each of the seeds {', '.join(map(str, sorted(seeds)))}")
        means = [float(rows["value"].mean()) * (1 if better == "lower" else -1) for rows in whole]
        best, ties = whole[means.index(min(means))], means.count(min(means)) - 1
        setting = ", ".join(f"{name}={text}" for name in over if (text := column_of(best, name).iloc[0]))
        left_out = f", {len(candidates) - len(whole)} of which lack seeds" if len(whole) < len(candidates) else ""
        return best, f"{setting or 'the only setting'} (of {len(candidates)}{left_out}{f', {ties} as good' if ties else ''})"
