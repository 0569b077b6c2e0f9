"""Which numbers a leaderboard shows, read from stores: a row for every run (or published summary), with its settings and its value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentbench.errors import UserError, flagged, nearest, shortened, unknown
from latentbench.numbers import same
from latentbench.results.store import Store
from latentbench.results.tables import SETTINGS
from latentbench.suites.sweep import NESTED, check_key

INSIDE = (*NESTED, "plugins", "dataset_sources")
"""Columns that hold JSON objects."""
NAMEABLE = [*(name for name in SETTINGS if name not in NESTED), "source", "store"]
"""What rows and columns can be named by; also options, training settings, versions of plugins and hashes of data files, dotted."""


@dataclass(frozen=True)
class Query:
    """What a leaderboard shows: a metric, the settings that name its rows and columns, and which results count.

    Without `rows` the leaderboard chooses them. `only` selects by settings, `run_ids` and `evaluations` by ids. `values_of` is `runs`, `summaries`,
    or `auto`: a store's summaries of the metric where it has some, else its runs.
    """

    metric: str = "nelbo"
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    split: str = "validation"
    index: float | None = None
    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    run_ids: frozenset[str] | None = None
    evaluations: frozenset[str] | None = None
    values_of: str = "auto"

    @property
    def title(self) -> str:
        """The metric, with its index."""
        return self.metric if self.index is None else f"{self.metric} at {self.index:g}"


def select(stores: Sequence[Path], query: Query) -> pd.DataFrame:
    """A row for every run or summary that the query selects: its settings, `kind` (run or summary), `store`, `seed`, `value`, `interval`.

    Failed runs have no value.

    Raises:
        UserError: a folder has no results, nothing matches, a name is unknown, or a run was measured in several ways.
    """
    for name in [*query.rows, *query.columns, *query.only]:
        _check_name(name)
    values = _matching(pd.concat([_of_store(path, query) for path in stores], ignore_index=True), query.only)
    if values.empty:
        raise UserError(_nothing(stores, query))
    return values.reset_index(drop=True)


def stored(results: Path) -> Store:
    """The store of a folder that has results.

    Raises:
        UserError: it has none.
    """
    store = Store(results)
    if not store.exists():
        raise UserError(f"results folder {results} has no results" + ("" if results.exists() else " (it does not exist)"))
    return store


def column_of(values: pd.DataFrame, name: str) -> pd.Series[str]:
    """A setting of every row as text; empty where a run does not have it. Dotted names refer to options and training settings."""
    outer, _, inner = name.partition(".")
    if outer not in values:
        return pd.Series("", index=values.index)
    texts = {raw: _text(json.loads(raw).get(inner) if inner and isinstance(raw, str) else None if inner else raw) for raw in values[outer].unique()}
    column: pd.Series[str] = values[outer].map(texts)
    return column.fillna("")  # a missing value is not found under itself


def settings_of(values: pd.DataFrame) -> Iterator[str]:
    """Every setting that identifies runs, dotted where nested, and the store: the same settings may come from several."""
    yield from NAMEABLE
    for outer in INSIDE:
        inner = {key for raw in values.get(outer, pd.Series(dtype=object)).dropna().unique() for key in json.loads(raw)}
        yield from sorted(f"{outer}.{key}" for key in inner)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check_name(name: str) -> None:
    outer, _, inner = name.partition(".")
    if outer == "training":
        check_key(name)
    if name not in (*NAMEABLE, "seed", "run_id") and not (inner and outer in INSIDE):
        raise UserError(unknown("setting", name, [*NAMEABLE, "seed", *(f"{n}.…" for n in INSIDE)]))


def _matching(values: pd.DataFrame, only: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The rows whose settings have one of the values that `only` allows.

    Raises:
        UserError: no row has one of the values.
    """
    kept = pd.Series(True, index=values.index)
    for key, allowed in only.items():
        column = column_of(values, key)
        found = sorted(set(column))
        wanted: set[str] = set()
        for value in allowed:
            texts = {text for text in found if text == _text(value) or same(text, value)}
            if found and not texts:
                known = shortened(", ".join(text or "none" for text in found), 400)
                raise UserError(f"--only {key}={flagged(value)}: no result has it{nearest(str(value), found)}; {key} in these results: {known}")
            wanted |= texts
        kept &= column.isin(wanted)
    return values[kept]


def _of_store(path: Path, query: Query) -> pd.DataFrame:
    """One store's rows: its summaries of the metric, or its runs."""
    store = stored(path)
    summaries = _of_metric(store.read("summaries"), query).assign(seed=None, run_id=None, kind="summary")
    if query.values_of == "summaries" or (query.values_of == "auto" and len(summaries) and query.run_ids is None):
        return summaries.assign(store=str(path))
    return _runs(store, query).assign(kind="run", store=str(path), interval=None)


def _runs(store: Store, query: Query) -> pd.DataFrame:
    runs = store.read("runs").drop(columns="sources")
    if query.run_ids is not None:
        runs = runs[runs["run_id"].isin(query.run_ids)]
    metrics = _of_metric(store.read("metrics"), query)
    if query.evaluations is not None:
        metrics = metrics[metrics["evaluation_id"].isin(query.evaluations)]
    _check_one_evaluation(metrics, query.metric, store)
    done = runs[runs["status"] == "done"].merge(metrics, on="run_id", how="inner")
    failed = runs[runs["status"] == "failed"] if len(done) else runs.head(0)  # missing seeds of a table, where there is a table
    return pd.concat([frame for frame in (done, failed) if len(frame)] or [done])


def _of_metric(frame: pd.DataFrame, query: Query) -> pd.DataFrame:
    """The rows of the query's metric on its split, at its index if the metric has several."""
    chosen = frame[(frame["metric"] == query.metric) & (frame["split"] == query.split)]
    indices = sorted(set(chosen["index"].dropna()))
    if query.index is not None:
        if len(chosen) and query.index not in indices:
            known = f"its indices are {', '.join(f'{i:g}' for i in indices)}" if indices else "it has none"
            raise UserError(f"metric '{query.metric}' has no index {query.index:g}; {known}")
        return chosen[chosen["index"] == query.index]
    if indices:
        name = chosen["index_name"].dropna().iloc[0]
        raise UserError(f"metric '{query.metric}' has a value for every {name}; choose one with --index: {', '.join(f'{i:g}' for i in indices)}")
    return chosen


def _check_one_evaluation(metrics: pd.DataFrame, metric: str, store: Store) -> None:
    """A metric measured in two ways (with another threshold) is two metrics: refuse to mix them."""
    doubled = metrics[metrics.duplicated("run_id", keep=False)]
    if len(doubled):
        titles = store.evaluation_titles()
        ids = ", ".join(f"{i}, which is {titles[i]}" if i in titles else str(i) for i in sorted(set(doubled["evaluation_id"])))
        raise UserError(f"metric '{metric}' was measured by several evaluations of one run ({ids}); choose one with --evaluation")


def _nothing(stores: Sequence[Path], query: Query) -> str:
    """Why no result matches: the first name of the query that the stores do not have."""
    metrics: set[str] = set()
    splits: set[str] = set()
    evaluations: set[str] = set()
    for path in stores:
        measured = Store(path).read("metrics", ["metric", "split", "evaluation_id"])
        evaluations |= set(measured.loc[measured["metric"] == query.metric, "evaluation_id"])
        for frame in (measured, Store(path).read("summaries", ["metric", "split"])):
            metrics |= set(frame["metric"])
            splits |= set(frame.loc[frame["metric"] == query.metric, "split"])
    if query.metric not in metrics:
        return unknown("metric", query.metric, metrics)
    missing = sorted((query.evaluations or frozenset()) - evaluations)
    if query.run_ids is None and missing:
        return unknown(f"evaluation of '{query.metric}'", missing[0], evaluations)
    if query.only:
        wanted = " ".join(f"{key}={','.join(map(str, values))}" for key, values in query.only.items())
        return f"no result matches --only {wanted}"
    return f"no result has the metric '{query.metric}' on the split '{query.split}'; its splits: {', '.join(sorted(splits)) or 'none'}"
