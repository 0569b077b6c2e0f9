"""One metric of a leaderboard: its cells, and what can be told apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentbench.errors import UserError
from latentbench.measure import Measure
from latentbench.numbers import same
from latentbench.reporting.comparison import Key
from latentbench.reporting.contrasts import Judged, Statistics, judge
from latentbench.reporting.differing import Footnotes, footnotes
from latentbench.reporting.extensions import derived_of
from latentbench.reporting.gathering import Gathered, Gathering, Place, columns_of, with_missing
from latentbench.reporting.query import Query
from latentbench.reporting.selecting import select
from latentbench.reporting.suite_runs import of_suite
from latentbench.results.asked import Asked
from latentbench.results.selection import column_of, text_of

AUTOMATIC = ("family", "estimator", "estimator_options.covariance", "encoder", "decoder", "dataset", "latent_dim", "beta")
"""Settings that name rows by themselves where they vary, when a query names no rows."""


@dataclass(frozen=True)
class Context:
    """What the boards of several metrics have in common; `footnotes` has their texts by mark."""

    stores: Sequence[Path]
    statistics: Statistics
    asked: Asked | None
    measures: Mapping[str, Measure]
    footnotes: dict[str, str] = field(default_factory=dict)


@dataclass
class Board:
    """One metric: its cells by place, and what is known of each."""

    metric: str
    measure: Measure | None
    rows: Sequence[str]
    cells: Mapping[Place, Gathered]
    judged: Mapping[Place, Judged]
    footnotes: Footnotes
    notes: Sequence[str]
    hidden: Counter[str]
    baseline: Key | None
    values: pd.DataFrame


def board_of(query: Query, context: Context) -> Board:
    """The cells of one metric. Filters of settings that name rows leave the family of comparisons as it is."""
    derived = derived_of(query)
    rows = tuple(query.rows)
    family = replace(query, only={name: wanted for name, wanted in query.only.items() if name not in rows}) if derived is None else query
    asked, statistics = context.asked, context.statistics
    values = of_suite(family, context.stores, asked) if asked is not None else select(context.stores, family, unmeasured=True)
    whole = _whole(values, replace(query, rows=rows or _automatic(values, query.columns)))
    measure = derived.measure if derived is not None else context.measures.get(query.metric)
    visible = {place: cell for place, cell in whole.cells.items() if not whole.shown.isdisjoint(cell.at)}
    if not visible:
        raise UserError(f"no run that is asked for has the metric '{query.metric}' on the split '{query.split}'")
    _check_constants(whole.values, visible, query)
    baseline = _baseline(statistics.baseline, whole.rows, visible)
    judged = {
        (row, column): verdict
        for column, mine in columns_of(whole.cells).items()
        for row, verdict in judge(mine, measure.better if measure else None, statistics, baseline).items()
    }
    notes = [*_notes(whole.values, visible), *_mixed_devices(whole.values, visible.values()), *whole.notes]
    hidden = whole.hidden + Counter({"rows left out by --only": len({row for row, _ in whole.cells} - {row for row, _ in visible})})
    marks = footnotes(whole.values, visible, (*whole.rows, *query.columns), context.footnotes)
    return Board(query.title, measure, whole.rows, visible, judged, marks, notes, +hidden, baseline, whole.values)


@dataclass(frozen=True)
class _Whole:
    """All cells of a metric, before filters of rows; `shown` are the positions in `values` that all filters leave."""

    values: pd.DataFrame
    rows: Sequence[str]
    cells: Mapping[Place, Gathered]
    shown: frozenset[int]
    hidden: Counter[str]
    notes: Sequence[str]


def _whole(values: pd.DataFrame, query: Query) -> _Whole:
    """The cells of all values. Where runs of a folder would be averaged over what is not named, the summaries that it has stand for them.

    Raises:
        UserError: a cell that is shown cannot be.
    """
    try:
        return _gathered(values, query)
    except UserError:
        runs = (values["kind"] == "run") & values["store"].isin(set(values.loc[values["kind"] == "summary", "store"]))
        if query.values_of != "auto" or not runs.any():
            raise
        left = _gathered(values[~runs].reset_index(drop=True), query)
        left.hidden["runs that published summaries stand for (--from runs shows them)"] += int(runs.sum())
        return left


def _gathered(values: pd.DataFrame, query: Query) -> _Whole:
    gathering, shown = Gathering(values, query.rows, query.columns), _shown(values, query)
    cells: dict[Place, Gathered] = {}
    ill_defined = 0
    for place, at in gathering.places().items():
        try:
            cell = gathering.cell(at)
        except UserError:
            if not shown.isdisjoint(at):
                raise
            ill_defined += 1  # it is not shown, and no family can have it
            continue
        if cell is not None:
            cells[place] = cell
    note = f"{ill_defined} rows that are not shown average over settings that vary, and are in no family of comparisons"
    return _Whole(values, query.rows, with_missing(cells), shown, gathering.hidden, [note] if ill_defined else [])


def _shown(values: pd.DataFrame, query: Query) -> frozenset[int]:
    """The positions of the rows that all filters leave."""
    kept = pd.Series(True, index=values.index)
    for name, wanted in query.only.items():
        texts = column_of(values, name)
        kept &= texts.map({text: any(text == text_of(value) or same(text, value) for value in wanted) for text in set(texts)})
    return frozenset(np.flatnonzero(kept.to_numpy(dtype=bool)).tolist())


def _automatic(values: pd.DataFrame, columns: Sequence[str]) -> Key:
    """The settings that name the rows of a query that names none."""
    varying = [name for name in AUTOMATIC if name not in columns and column_of(values, name).nunique() > 1]
    return tuple(varying) or ("family",)


def _baseline(wanted: Mapping[str, Any] | None, rows: Sequence[str], cells: Mapping[Place, Gathered]) -> Key | None:
    """The row that the settings of a baseline name.

    Raises:
        UserError: they name none, or several.
    """
    if wanted is None:
        return None
    told = ",".join(f"{name}={value}" for name, value in wanted.items())
    for name in wanted:
        if name not in rows:
            raise UserError(f"--baseline {told}: '{name}' names no rows; rows are named by {', '.join(rows)}")
    keys = {row for row, _ in cells}
    found = sorted(row for row in keys if all(same(row[list(rows).index(name)], value) for name, value in wanted.items()))
    if len(found) != 1:
        known = "; ".join(sorted(",".join(f"{name}={text}" for name, text in zip(rows, row, strict=True)) for row in (found or keys))[:8])
        raise UserError(f"--baseline {told} names {len(found) or 'no'} row{'s' * (len(found) != 1)}; {'these are' if found else 'rows are'} {known}")
    return found[0]


def _check_constants(values: pd.DataFrame, cells: Mapping[Place, Gathered], query: Query) -> None:
    """Raise a UserError where costs of one data set in a column leave out different constants of their likelihoods."""
    if "less_constant" not in values:
        return
    counts = values["value"].notna() & values["cost_constant"].notna() & (values["less_constant"] == True)  # noqa: E712  # it may be missing
    if not counts.any():
        return
    costs = dict(zip(counts.index[counts], values.loc[counts, "cost_constant"], strict=True))
    datasets = (column_of(values, "dataset") + column_of(values, "dataset_options")).tolist()
    found: dict[tuple[Key, str], set[float]] = {}
    for (_, column), cell in cells.items():
        for position in cell.at:
            if position in costs:
                found.setdefault((column, datasets[position]), set()).add(costs[position])
    mixed = next((sorted(different) for different in found.values() if len(different) > 1), None)
    if mixed is not None:
        likelihoods = ", ".join(sorted(set(column_of(values[counts], "likelihood"))))
        raise UserError(
            f"a column would compare '{query.metric}' of runs whose likelihoods leave different constants out of it "
            f"({', '.join(f'{constant:g}' for constant in mixed)} nats an image; likelihoods: {likelihoods}); choose with --only likelihood=..., "
            "or name the likelihood and its options with --columns"
        )


def _notes(values: pd.DataFrame, cells: Mapping[Place, Gathered]) -> list[str]:
    notes = []
    at = sorted({i for cell in cells.values() for i in cell.at})
    shown = values.iloc[at]
    published = shown.loc[shown["value"].notna(), "source"].dropna()
    if len(published):
        notes.append(f"sources: {', '.join(sorted(set(published)))}")
    if "estimate" in shown and (shown["estimate"] == True).any():  # noqa: E712  # it may be missing
        notes.append(f"of {int((shown['estimate'] == True).sum())} runs the KL is an estimate by samples")  # noqa: E712
    return [*notes, *sorted(set(shown["note"].dropna()) if "note" in shown else ())]


def _mixed_devices(values: pd.DataFrame, cells: Iterable[Gathered]) -> list[str]:
    """A note where cells average over runs on different models of GPU, whose numbers differ by rounding."""
    if "device_name" not in values:
        return []
    gpus = values["device_name"].where((values["device"] == "cuda") & values["value"].notna())
    mixed = [found for cell in cells if len(found := set(gpus.iloc[list(cell.at)].dropna())) > 1]
    return [f"{len(mixed)} cells mix models of GPU: {', '.join(sorted(set().union(*mixed)))}"] if mixed else []
