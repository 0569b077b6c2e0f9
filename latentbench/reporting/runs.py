"""Stored runs as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from latentbench.failure import Failure
from latentbench.reporting.failures import failures_text, grouped
from latentbench.reporting.text import table
from latentbench.results.lookup import stored

COLUMNS = ("run_id", "status", "family", "estimator", "dataset", "encoder", "decoder", "latent_dim", "beta", "seed", "wall_seconds")
HEADER = ("run", "outcome", "family", "estimator", "dataset", "networks", "K", "beta", "seed", "seconds")
FAILURE = ("failure_kind", "failure_message")
EVERYTHING: Mapping[str, Sequence[Any]] = MappingProxyType({})


def runs_text(results: Path, only: Mapping[str, Sequence[Any]] = EVERYTHING, failed: bool = False) -> str:
    """Every stored run in a line, and why those that failed did.

    Args:
        results: the results folder.
        only: the values that settings may have, as `--only` gives them.
        failed: leave out the runs that have not failed; a trained run fails when an evaluation of it does.

    Raises:
        UserError: the folder has no results, or no run has one of the values.
    """
    store = stored(results)
    found = store.rows("runs", None if only else [*COLUMNS, *FAILURE])
    if only:
        from latentbench.results.selection import selected  # with pandas, which takes longer than all else here

        found = selected(found, only)
    rows = found.to_pylist()
    failures = {row["run_id"]: failure for row in rows if (failure := Failure.from_row(row)) is not None}
    shown = [row for row in rows if row["run_id"] in failures] if failed else rows
    lines = [table([_line(row, failures.get(row["run_id"])) for row in sorted(shown, key=_order)], HEADER)] if shown else []
    counts = f"{len(rows)} runs in {results}" + (f", {len(failures)} of them failed" if failures or failed else "")
    return "\n".join([*lines, "", counts, *failures_text(grouped(failures.items()))]).lstrip("\n")


def _line(row: Mapping[str, Any], failure: Failure | None) -> list[str]:
    outcome = f"failed: {failure.kind}" if failure else row["status"]
    networks = "|".join(row[name] for name in ("encoder", "decoder") if row[name])
    values = [row["run_id"], outcome, row["family"], row["estimator"], row["dataset"], networks, row["latent_dim"], row["beta"], row["seed"]]
    return ["" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value) for value in (*values, row["wall_seconds"])]


def _order(row: Mapping[str, Any]) -> list[tuple[bool, Any]]:
    """Runs that differ in their seed alone follow each other; what a run does not have comes last."""
    names = ("dataset", "family", "estimator", "encoder", "decoder", "latent_dim", "beta", "seed", "run_id")
    return [(row[name] is None, row[name]) for name in names]
