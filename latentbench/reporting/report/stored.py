"""What results folders have, read once for a whole page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from latentbench.errors import UserError
from latentbench.measure import Measure
from latentbench.reporting.report.naming import named, naming
from latentbench.reporting.selecting import declarations
from latentbench.results.asked import Asked, records
from latentbench.results.lookup import stored
from latentbench.results.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

KEYS = ["store", "run_id"]


@dataclass(frozen=True)
class Stored:
    """Results folders, and the suites that asked for their runs.

    `runs` has the rows of table `runs` with their folder (`store`), the settings that tell models apart in short words (`model`), and those settings
    themselves as texts, in columns of the names in `names`.
    """

    stores: Sequence[Path]
    asked: Sequence[Asked]
    runs: pd.DataFrame
    names: Sequence[str]

    @classmethod
    def read(cls, stores: Sequence[Path], suite: Sequence[Asked] = ()) -> Stored:
        """The folders' runs, or those of them that a suite asks for.

        Raises:
            UserError: a folder has no results, cannot be read, or no run of the suite is there.
        """
        runs = pd.concat([stored(path).read("runs").assign(store=str(path)) for path in stores], ignore_index=True)
        asked = list(suite) or [record for path in stores for record in records(path)]
        if suite:
            wanted = {run_id for one in suite for run_id in one.runs}
            runs = runs[runs["run_id"].isin(wanted)].reset_index(drop=True)
            if runs.empty:
                raise UserError(f"no run of the suite '{suite[0].name}' is in {', '.join(map(str, stores))}")
        names = naming(runs)
        ordered = named(runs, names).sort_values(["model", "seed"], kind="stable", ignore_index=True)
        return cls(stores, asked, ordered, names)

    @property
    def run_ids(self) -> frozenset[str]:
        """The runs' ids."""
        return frozenset(self.runs["run_id"])

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The rows of table `metrics` of the runs, with `model` and `seed`."""
        return self.joined(self._table("metrics"))

    @cached_property
    def history(self) -> pd.DataFrame:
        """What training recorded of the runs: `store`, `run_id`, `step`, `name`, `value`."""
        return self._table("history")

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """The rows of table `evaluations` of the runs."""
        return self._table("evaluations")

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """Evaluations' names with their options, by id."""
        known = dict(self.evaluations[["evaluation_id", "evaluation"]].drop_duplicates().itertuples(index=False, name=None))
        return known | {i: title for one in self.asked for i, title in one.titles.items()}

    @cached_property
    def declared(self) -> Mapping[str, Measure]:
        """What metrics mean, by name."""
        return declarations(self.stores)

    def joined(self, rows: pd.DataFrame, columns: Iterable[str] = ("model", "seed", "family", "estimator", "dataset")) -> pd.DataFrame:
        """Rows of a table with columns of their runs."""
        return rows.merge(self.runs[[*KEYS, *columns]], on=KEYS)

    def _table(self, name: str) -> pd.DataFrame:
        rows = pd.concat([Store(path).read(name).assign(store=str(path)) for path in self.stores], ignore_index=True)
        return rows[rows["run_id"].isin(self.run_ids)]
