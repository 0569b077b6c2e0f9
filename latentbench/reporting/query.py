"""Which numbers a leaderboard shows, read from stores: a row for every run (or published summary), with its settings and its value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from latentbench.errors import UserError, unknown
from latentbench.results.selection import check_name, matching
from latentbench.results.store import Store


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

    Failed runs have no value. `less_constant` says that values leave out their likelihood's constant, and `estimate` that a KL in them is estimated.

    Raises:
        UserError: a folder has no results, nothing matches, a name is unknown, or a run was measured in several ways.
    """
    for name in [*query.rows, *query.columns, *query.only]:
        check_name(name)
    values = matching(pd.concat([_of_store(path, query) for path in stores], ignore_index=True), query.only)
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
    metrics = metrics.merge(_declared(store, query.metric), on=["run_id", "evaluation_id"], how="left")
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


def _declared(store: Store, metric: str) -> pd.DataFrame:
    """For every run and evaluation, whether the metric was declared to leave out the likelihood's constant, and to be an estimate."""
    found = store.read("evaluations", ["run_id", "evaluation_id", "metrics"])
    said = {text: json.loads(text or "{}").get(metric, {}) for text in found["metrics"].dropna().unique()}
    for name in ("less_constant", "estimate"):
        flags = {text: bool(declared.get(name)) for text, declared in said.items()}
        found[name] = found["metrics"].map(flags)
    return found.drop(columns="metrics")


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
