"""Joining results folders of several machines by run id. Equal ids must have equal results; where they have not, nothing is chosen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path
from typing import Any

import pandas as pd

from latentbench.errors import UserError
from latentbench.store import Store

TOLERANCE = 0.01
"""Relative difference up to which a metric of one run, measured on two machines, is the same: rounding differs, and training amplifies it."""
KEY = ["evaluation_id", "split", "metric", "index_name", "index"]
"""What tells the metrics of one run apart."""


@dataclass(frozen=True)
class Merged:
    """How many runs went into the folder, how many of them several folders had, and the runs that did not go, with the reason."""

    runs: int
    shared: int
    conflicts: Mapping[str, str]


@dataclass(frozen=True)
class _Folder:
    """The tables of one results folder, by run id."""

    store: Store
    runs: Mapping[str, dict[str, Any]]
    tables: Mapping[str, Mapping[str, pd.DataFrame]]

    @classmethod
    def read(cls, path: Path) -> _Folder:
        store = Store(path)
        if not store.exists():
            raise UserError(f"results folder {path} has no results" + ("" if path.exists() else " (it does not exist)"))
        runs = store.read("runs").astype(object)
        rows = runs.where(runs.notna(), None).to_dict("records")
        tables = {table: {str(key): part for key, part in store.read(table).groupby("run_id")} for table in ("metrics", "units", "history")}
        return cls(store, {str(row["run_id"]): {str(k): v for k, v in row.items()} for row in rows}, tables)

    def metrics(self, run_id: str) -> pd.DataFrame:
        return self.tables["metrics"].get(run_id, pd.DataFrame(columns=[*KEY, "value"]))


def merge(sources: Sequence[Path], into: Path, tolerance: float = TOLERANCE) -> Merged:
    """Write all runs of results folders into another one.

    A run that several have is taken from the first where it is done, with every evaluation that any of them has; its metrics must agree. Conflicts
    are told, and such runs are left out.

    Args:
        sources: results folders.
        into: a folder without results.
        tolerance: the relative difference up to which metrics agree.

    Raises:
        UserError: a source has no results, or `into` has some, or cannot be written.
    """
    target = Store(into)
    if target.exists():
        raise UserError(f"results folder {into} has results already; name a new one, and give this one among those to be merged")
    folders = [_Folder.read(path) for path in sources]
    target.check_writable()
    conflicts: dict[str, str] = {}
    shared = written = 0
    for run_id in dict.fromkeys(run_id for folder in folders for run_id in folder.runs):
        having = [folder for folder in folders if run_id in folder.runs]
        done = [folder for folder in having if folder.runs[run_id]["status"] == "done"] or having[:1]
        problem = next(_differences(run_id, done, tolerance), None)
        if problem is not None:
            conflicts[run_id] = problem
            continue
        _write(run_id, done, target)
        written += 1
        shared += len(having) > 1
    for number, folder in enumerate(folders):
        summaries = folder.store.read("summaries")
        if len(summaries):
            rows = summaries.astype(object).where(summaries.notna(), None).to_dict("records")
            target.write_rows("summaries", f"{folder.store.path.name}-{number}", [{str(k): v for k, v in row.items()} for row in rows])
    return Merged(written, shared, conflicts)


def _differences(run_id: str, folders: Sequence[_Folder], tolerance: float) -> Iterator[str]:
    """Where the metrics of one run differ between the first folder and the others."""
    first = folders[0].metrics(run_id).set_index(KEY)["value"]
    for other in folders[1:]:
        theirs = other.metrics(run_id).set_index(KEY)["value"]
        for key in first.index.intersection(theirs.index):
            a, b = float(first.loc[key]), float(theirs.loc[key])
            if not (a == b or (isnan(a) and isnan(b)) or abs(a - b) <= tolerance * max(abs(a), abs(b)) < inf):
                names = dict(zip(KEY, key, strict=True))
                yield f"{names['metric']} on {names['split']} is {a:g} in {folders[0].store.path} and {b:g} in {other.store.path}"


def _write(run_id: str, folders: Sequence[_Folder], target: Store) -> None:
    """Write one run: the row last, as everywhere."""
    first = folders[0]
    seen: set[str] = set()
    for folder in folders:
        for table in ("units", "metrics"):
            for evaluation_id, part in folder.tables[table].get(run_id, pd.DataFrame({"evaluation_id": []})).groupby("evaluation_id"):
                if evaluation_id not in seen:
                    target.write_rows(table, f"{run_id}-{evaluation_id}", _rows(part))
        seen |= {str(name) for name in folder.metrics(run_id)["evaluation_id"]}
        for kind in ("arrays", "pictures"):
            if (folder.store.path / kind / run_id).is_dir():
                shutil.copytree(folder.store.path / kind / run_id, target.path / kind / run_id, dirs_exist_ok=True)
    history = first.tables["history"].get(run_id)
    if history is not None:
        target.write_rows("history", run_id, _rows(history))
    for path, copy in (
        (first.store.checkpoint_path(run_id), target.checkpoint_path(run_id)),
        (first.store.log_path(run_id), target.log_path(run_id)),
    ):
        if path.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    target.write_rows("runs", run_id, [first.runs[run_id]])


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]
