"""Stored runs as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from latentbench.errors import UserError
from latentbench.reporting.query import stored
from latentbench.results.store import Store
from latentbench.results.tables import TABLES

COLUMNS = ["run_id", "status", "family", "estimator", "dataset", "encoder", "decoder", "latent_dim", "beta", "seed", "wall_seconds"]


def runs_text(results: Path) -> str:
    """Every stored run in a line.

    Raises:
        UserError: the folder has no results.
    """
    frame = stored(results).read("runs", COLUMNS)
    frame = frame.astype(object).where(frame.notna(), "")
    lines = tabulate(frame.to_records(index=False).tolist(), COLUMNS, tablefmt="simple", floatfmt=".4g")
    return f"{lines}\n\n{len(frame)} runs in {results}"


def run_text(results: Path, prefix: str) -> str:
    """All that is stored of the run whose id begins with `prefix`.

    Raises:
        UserError: the folder has no results, or not exactly one such run.
    """
    store = stored(results)
    runs = store.read("runs")
    found = runs[[run_id.startswith(prefix) for run_id in runs["run_id"]]]
    if len(found) != 1:
        several = f"{len(found)} runs begin with '{prefix}': {', '.join(found['run_id'].head(5))}" if len(found) else f"no run begins with '{prefix}'"
        raise UserError(f"{results}: {several}; `latentbench list runs --results {results}` lists all {len(runs)}")
    row = found.iloc[0].dropna()
    titles = store.evaluation_titles()
    measured = [name for name in TABLES["metrics"] if not name.startswith(("run", "evaluation"))]
    return "\n\n".join(
        [
            tabulate([(key, _pretty(value)) for key, value in row.items()], tablefmt="plain", disable_numparse=True),
            *_rows(store, "evaluations", row["run_id"], ["evaluation_id", "version", "started", "seconds", "host"], titles),
            *_rows(store, "metrics", row["run_id"], measured, titles),
        ]
    )


def _rows(store: Store, table: str, run_id: str, columns: Sequence[str], titles: Mapping[str, str]) -> list[str]:
    """The rows that a table has of a run, each with the evaluation and its options; nothing if there are none."""
    rows = store.read(table)
    mine = rows[rows["run_id"] == run_id]
    if not len(mine):
        return []
    plain = mine.astype(object).where(mine.notna(), "").to_dict("records")
    body = [(titles.get(row["evaluation_id"], row["evaluation"]), *(row[name] for name in columns)) for row in plain]
    return [tabulate(body, ("evaluation", *columns), tablefmt="simple", floatfmt=".5g")]


def _pretty(value: Any) -> str:
    """The value of a column; nested settings as `key: value` lines."""
    if isinstance(value, str) and value.startswith("{"):
        return "\n".join(f"{key}: {inner}" for key, inner in json.loads(value).items()) or "-"
    return str(value)
