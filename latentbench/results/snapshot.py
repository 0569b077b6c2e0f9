"""What a results folder has, read once: everything that an invocation decides about its runs, it decides by one snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from latentbench.failure import Failure
from latentbench.results import tables
from latentbench.results.arrow import distinct, records
from latentbench.results.store import STATE, Store

if TYPE_CHECKING:
    import pandas as pd

COSTS = ("wall_seconds", "device_peak_memory_bytes", "parameters")
"""Columns that tell what runs like it will take."""


@dataclass(frozen=True)
class Snapshot:
    """A results folder at one time; what only some commands need is read when they first ask for it.

    Args:
        store: the folder.
        rows: the outcome (the columns `STATE`) of every stored run, by run id.
        evaluated: run id -> the ids of its evaluations whose metrics are there.
    """

    store: Store
    rows: Mapping[str, Mapping[str, Any]]
    evaluated: Mapping[str, Set[str]]

    @classmethod
    def read(cls, store: Store, evaluations: bool = True) -> Snapshot:
        """The folder as it is now; without `evaluations` as if none had measured, which is quicker.

        Raises:
            UserError: something in it cannot be read.
        """
        rows = {str(row["run_id"]): row for row in records(store.rows("runs", ["run_id", *STATE]))}
        return cls(store, rows, _evaluated(store) if evaluations else {})

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The settings and costs of every stored run."""
        return self.store.read("runs", [*tables.SETTINGS, *COSTS])

    @cached_property
    def saved(self) -> Set[str]:
        """The runs that have a training state."""
        return self.store.saved_states()

    @cached_property
    def measured_by(self) -> Mapping[tuple[str, str], str]:
        """Run id and evaluation id -> the sources of the code that measured it, as JSON; what older versions have stored is not among them.

        Raises:
            UserError: they cannot be read.
        """
        rows = self.store.read("evaluations", ["run_id", "evaluation_id", "sources"]).dropna()
        return {(run_id, evaluation_id): sources for run_id, evaluation_id, sources in rows.itertuples(index=False, name=None)}

    def failure(self, run_id: str) -> Failure | None:
        """Why a stored run failed."""
        return Failure.from_row(self.rows[run_id])


def _evaluated(store: Store) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for run_id, evaluation_id in distinct(store.rows("metrics", ["run_id", "evaluation_id"]), ["run_id", "evaluation_id"]):
        found.setdefault(run_id, set()).add(evaluation_id)
    return found
