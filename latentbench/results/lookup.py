"""What a results folder has of one run, read without the rows of all others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from latentbench.errors import UserError
from latentbench.results.arrow import empty, texts
from latentbench.results.store import Store
from latentbench.results.tables import TABLES, DamagedError, check_json, compact_number, damaged, read_fragment, table_schema

MAX_RUNS_SHOWN = 5
"""How many of the runs that begin alike a message names."""


def stored(results: Path) -> Store:
    """The store of a folder that has results.

    Raises:
        UserError: it has none.
    """
    store = Store(results)
    if not store.exists():
        raise UserError(f"results folder {results} has no results" + ("" if results.exists() else " (it does not exist)"))
    return store


def find_run(store: Store, prefix: str) -> str:
    """The id of the one run that begins with `prefix`.

    Raises:
        UserError: there is none, or there are several.
    """
    found = store.steadily(partial(_beginning, store, prefix), "runs")
    if len(found) == 1:
        return found[0]
    several = f"{len(found)} runs begin with '{prefix}': {', '.join(found[:MAX_RUNS_SHOWN])}" if found else f"no run begins with '{prefix}'"
    raise UserError(f"{store.path}: {several}; `latentbench list runs --results {store.path}` lists them")


def _beginning(store: Store, prefix: str) -> list[str]:
    """The runs whose ids begin so, by the names of files where they have one."""
    own = {path.stem for path in store.fragments("runs") if compact_number(path) is None}
    compact = _compact_file(store, "runs")
    ids = [] if compact is None else read_fragment(compact, "runs", ["run_id"])["run_id"].to_pylist()
    there = {name for name in own if name.startswith(prefix) and store.own_row(name)}  # an empty one hides the row of a compact file
    return sorted(there | {name for name in ids if name.startswith(prefix) and name not in own})


def _compact_file(store: Store, table: str) -> Path | None:
    """The compact file of a table that counts."""
    number, _ = store.compaction()
    files = {n: path for path in store.fragments(table) if (n := compact_number(path)) is not None and n <= number}
    return files[max(files)] if files else None


def rows_of(store: Store, table: str, run_id: str) -> pa.Table:
    """The rows that a table has of one run, from its own fragments and the compact file that counts, as `Tables` describes them.

    Raises:
        UserError: a file of the run is damaged, cannot be read, or was written by a newer latentbench.
    """
    store.check_whole()
    return store.steadily(partial(_rows_of, store, table, run_id), table)


def _rows_of(store: Store, table: str, run_id: str) -> pa.Table:
    columns = list(TABLES[table])
    own = [path for path in store.fragments(table) if compact_number(path) is None and path.stem.partition("-")[0] == run_id]
    parts = [(path, read_fragment(path, table, columns)) for path in own]
    for path, part in parts:
        if set(part["run_id"].to_pylist()) - {run_id}:
            raise DamagedError(damaged(path, f"it has rows of another run than {run_id}"))
    compact = _compact_file(store, table)
    if compact is not None and run_id not in store.compaction()[1]:
        part = read_fragment(compact, table, columns, run_id)
        replaced = [path.stem.removeprefix(f"{run_id}-") for path in own]
        key = "evaluation_id" if "evaluation_id" in columns else "run_id"
        parts.append((compact, part.filter(pc.invert(pc.is_in(part[key], texts(replaced))))))
    for path, part in parts:
        if table == "runs" and len(part) > 1:
            raise DamagedError(damaged(path, f"it has two rows of run {run_id}"))
    whole = pa.concat_tables([empty(table_schema(table).remove_metadata()), *(part for _, part in parts)])
    check_json(parts, whole)
    return whole


def rows_of_runs(store: Store, table: str, run_ids: Collection[str], columns: Sequence[str]) -> pa.Table:
    """Columns of the rows that `units` or `metrics` has of some runs, as `rows_of`, and quicker than that of each.

    Raises:
        UserError: as `rows_of`.
    """
    store.check_whole()
    return store.steadily(partial(_rows_of_runs, store, table, frozenset(run_ids), list(columns)), table)


def _rows_of_runs(store: Store, table: str, run_ids: frozenset[str], columns: list[str]) -> pa.Table:
    wanted = list(dict.fromkeys([*columns, "run_id", "evaluation_id"]))
    own = [path for path in store.fragments(table) if compact_number(path) is None and path.stem.partition("-")[0] in run_ids]
    parts, compact = [read_fragment(path, table, wanted) for path in own], _compact_file(store, table)
    if compact is not None:
        part = read_fragment(compact, table, wanted, sorted(run_ids - store.compaction()[1]))
        names = pc.binary_join_element_wise(part["run_id"], part["evaluation_id"], "-")
        parts.append(part.filter(pc.invert(pc.is_in(names, pa.array([path.stem for path in own], pa.string())))))
    empty = table_schema(table).remove_metadata().empty_table().select(columns)
    return pa.concat_tables([empty, *(part.select(columns) for part in parts)])
