"""The numbers that a query selects, read from stores: a row for every run (or published summary), with its settings and its value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from latentbench.errors import UserError, unknown
from latentbench.measure import Measure
from latentbench.reporting.chosen import chosen_evaluations
from latentbench.reporting.derived import Derived
from latentbench.reporting.extensions import derived_of
from latentbench.reporting.query import Query
from latentbench.results.declared_metrics import declarations_in
from latentbench.results.lookup import stored
from latentbench.results.selection import check_name, matching
from latentbench.results.store import Store


def select(stores: Sequence[Path], query: Query, unmeasured: bool = False) -> pd.DataFrame:
    """A row for every run or summary that the query selects.

    Args:
        stores: results folders.
        query: what is selected.
        unmeasured: whether to have rows of trained runs that lack the metric, too.

    Returns:
        The columns of the table `runs`, of which a summary has the settings alone, and `kind` (run or summary), `store`, `value` (missing of runs
        that failed or lack it), `measured`, `low` and `high` (of a summary's interval), its half-width `interval`, `censored`, `index`,
        `index_name`, `standard_error`, `n`, `evaluation_id`; `less_constant` says that values leave out their likelihood's constant, and `estimate`
        that a KL in them is estimated.

    Raises:
        UserError: a folder has no results, nothing matches, a name is unknown, or a run was measured in several ways.
    """
    for name in [*query.rows, *query.columns, *query.only]:
        check_name(name)
    derived = derived_of(query)
    if derived is not None:
        return _of_derived(derived, stores, query)
    values = matching(_stacked([_of_store(path, query, unmeasured) for path in stores]), query.only)
    if not values["value"].notna().any():
        raise UserError(_nothing(stores, query))
    return values.reset_index(drop=True)


def declarations(stores: Sequence[Path]) -> dict[str, Measure]:
    """Metric -> direction, unit, meaning and index, as the evaluations that measured it have declared them; where several did, the last.

    Raises:
        UserError: a folder cannot be read.
    """
    return declarations_in({text for path in stores for text in Store(path).rows("evaluations", ["metrics"])["metrics"].unique().to_pylist()})


def _of_derived(derived: Derived, stores: Sequence[Path], query: Query) -> pd.DataFrame:
    """The rows of a derived metric, with the columns that leaderboards read."""
    values = derived.derive(stores, query).reset_index(drop=True)
    if values.empty:
        raise UserError(f"no result has what '{query.metric}' is computed from")
    for name in {"run_id", "seed", "low", "high", "interval", "source", "status", "note"} - set(values):
        values[name] = None
    return values.assign(measured=values["value"].notna(), censored=values.get("censored", 0))


def _of_store(path: Path, query: Query, unmeasured: bool) -> pd.DataFrame:
    """One store's rows: its runs, its summaries of the metric, or both."""
    store = stored(path)
    summaries = _of_metric(store.read("summaries"), query).assign(seed=None, run_id=None, status=None, kind="summary", censored=0, measured=True)
    half = summaries["interval"].astype(float)
    summaries = summaries.assign(low=summaries["value"] - half, high=summaries["value"] + half)
    if query.run_ids is not None or query.values_of == "runs":
        summaries = summaries.head(0)
    runs = _runs(store, query, unmeasured).assign(kind="run", censored=0, interval=None, low=None, high=None)
    frames = [frame for frame in ([summaries] if query.values_of == "summaries" else [runs, summaries]) if len(frame)]
    return _stacked(frames or [runs.head(0)]).assign(store=str(path))


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows below one another; a column that is missing throughout a frame has no say in the column's type."""
    names = list(dict.fromkeys(name for frame in frames for name in frame))
    return pd.concat([frame.dropna(axis="columns", how="all") for frame in frames], ignore_index=True).reindex(columns=names)


def _runs(store: Store, query: Query, unmeasured: bool) -> pd.DataFrame:
    runs = store.read("runs")
    if query.run_ids is not None:
        runs = runs[runs["run_id"].isin(query.run_ids)]
    metrics = _of_metric(store.read("metrics"), query)
    metrics = metrics[metrics["run_id"].isin(runs["run_id"])]
    if query.evaluations is not None:
        metrics = metrics[metrics["evaluation_id"].isin(chosen_evaluations(store, query.evaluations))]
    _check_one_evaluation(metrics, query.metric, store)
    if metrics.empty:
        return runs.head(0).assign(value=np.nan, measured=False)
    metrics = metrics.merge(_declared(store, query.metric), on=["run_id", "evaluation_id"], how="left")
    kept = runs if unmeasured else runs[(runs["status"] == "failed") | runs["run_id"].isin(metrics["run_id"])]
    found = kept.merge(metrics, on="run_id", how="left")
    return found.assign(measured=found["evaluation_id"].notna())


def _of_metric(frame: pd.DataFrame, query: Query) -> pd.DataFrame:
    """The rows of the query's metric on its split, at its index if the metric has several."""
    chosen = frame[(frame["metric"] == query.metric) & (frame["split"] == query.split)]
    if query.every_index:
        return chosen
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
    doubled = metrics[metrics.duplicated(["run_id", "index"], keep=False)]
    if len(doubled):
        titles = store.evaluation_titles()
        ids = ", ".join(f"{i}, which is {titles[i]}" if i in titles else str(i) for i in sorted(set(doubled["evaluation_id"])))
        raise UserError(f"metric '{metric}' was measured by several evaluations of one run ({ids}); choose one with --evaluation")


def _nothing(stores: Sequence[Path], query: Query) -> str:
    """Why no result matches: the first name of the query that the stores do not have."""
    metrics: set[str] = set()
    splits: set[str] = set()
    for path in stores:
        store = Store(path)
        for frame in (store.read("metrics", ["metric", "split"]), store.read("summaries", ["metric", "split"])):
            metrics |= set(frame["metric"])
            splits |= set(frame.loc[frame["metric"] == query.metric, "split"])
    if query.metric not in metrics:
        return unknown("metric", query.metric, metrics)
    if query.only:
        wanted = " ".join(f"{key}={','.join(map(str, values))}" for key, values in query.only.items())
        return f"no result matches --only {wanted}"
    if query.evaluations or query.run_ids is not None:
        return f"no result that is asked for has the metric '{query.metric}' on the split '{query.split}'"
    return f"no result has the metric '{query.metric}' on the split '{query.split}'; its splits: {', '.join(sorted(splits)) or 'none'}"
