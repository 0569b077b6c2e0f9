"""What a results folder has, read once: everything that an invocation decides about its runs, it decides by one snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import pandas as pd

from latentbench.failure import Failure
from latentbench.results import tables
from latentbench.results.store import STATE, Store

COSTS = ("wall_seconds", "device_peak_memory_bytes", "parameters")
"""Columns that tell what runs like it will take."""


@dataclass(frozen=True)
class Snapshot:
    """A results folder at one time.

    Args:
        store: the folder.
        runs: the settings, outcome and costs of every stored run.
        rows: its outcome (the columns `STATE`), by run id.
        measured: run id -> evaluation id -> the sources of the code that measured it, as JSON; None where an older version did not store them.
        saved: the runs that have a training state.
    """

    store: Store
    runs: pd.DataFrame
    rows: Mapping[str, Mapping[str, Any]]
    measured: Mapping[str, Mapping[str, str | None]]
    saved: Set[str]

    @classmethod
    def read(cls, store: Store) -> Snapshot:
        """The folder as it is now.

        Raises:
            UserError: something in it cannot be read.
        """
        runs = store.read("runs", ["run_id", *tables.SETTINGS, *STATE, *COSTS])
        state = runs[["run_id", *STATE]].astype(object)
        rows = {str(row["run_id"]): {str(key): value for key, value in row.items()} for row in state.where(state.notna(), None).to_dict("records")}
        return cls(store, runs, rows, _measured(store), store.saved_states())

    def failure(self, run_id: str) -> Failure | None:
        """Why a stored run failed."""
        return Failure.from_row(self.rows[run_id])


def _measured(store: Store) -> dict[str, dict[str, str | None]]:
    """Every evaluation whose metrics are there, with its sources."""
    found: dict[str, dict[str, str | None]] = {}
    for run_id, evaluation_id in store.read("metrics", ["run_id", "evaluation_id"]).drop_duplicates().itertuples(index=False, name=None):
        found.setdefault(run_id, {})[evaluation_id] = None
    for run_id, evaluation_id, sources in store.read("evaluations", ["run_id", "evaluation_id", "sources"]).itertuples(index=False, name=None):
        if evaluation_id in found.get(run_id, {}):
            found[run_id][evaluation_id] = sources if isinstance(sources, str) else None  # pandas gives NaN for no text
    return found
