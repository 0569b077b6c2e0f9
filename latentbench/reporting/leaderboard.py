"""Leaderboards: a metric of stored runs, mean and interval over seeds, as a table of settings against settings."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentbench.errors import UserError
from latentbench.registry import load_registry
from latentbench.reporting.query import Query, select
from latentbench.reporting.statistics import CAPTION, Cell, over_seeds
from latentbench.results.selection import column_of, settings_of

AUTOMATIC = ("family", "estimator", "estimator_options.covariance", "encoder", "decoder", "dataset", "latent_dim", "beta")
"""Settings that name rows by themselves where they vary, when a query names no rows."""
MAX_SETTINGS_SHOWN = 5
"""Settings that vary, of those that a message names."""
Key = tuple[str, ...]
"""The values of the settings that name a row, or a column."""


@dataclass(frozen=True)
class Comparison:
    """A leaderboard. `cells[row][column]` is a `Cell` or None; `best` holds the positions of the best cells of every column."""

    query: Query
    rows: Sequence[Key]
    columns: Sequence[Key]
    cells: Sequence[Sequence[Cell | None]]
    best: frozenset[tuple[int, int]]
    better: str | None
    notes: Sequence[str]


def compare(stores: Sequence[Path], query: Query, better: Mapping[str, str] | None = None) -> Comparison:
    """The leaderboard of one metric over one or more results folders.

    Args:
        stores: results folders.
        query: what to show.
        better: metric -> `lower` or `higher`, by default what the registered evaluations declare. Rows of other metrics are in the order of their
            names, and none is the best.

    Raises:
        UserError: a folder has no results, nothing matches, a name is unknown, or a cell would average over a setting that varies.
    """
    values = select(stores, query)
    query = replace(query, rows=tuple(query.rows) or _automatic(values, query.columns))
    places = _places(values, query)
    _check_constants(values, places, query)
    unnamed = _Unnamed.of(values, (*query.rows, *query.columns))
    columns = {name: values[name].tolist() for name in ("run_id", "seed", "value", "kind", "interval")}
    cells = {place: _cell({name: [column[i] for i in at] for name, column in columns.items()}, at, unnamed) for place, at in places.items()}
    notes = [*_notes(values, cells.values()), *_mixed_devices(values, places.values())]
    direction = (load_registry().better() if better is None else better).get(query.metric)
    return _arranged(query, cells, direction, notes)


def _automatic(values: pd.DataFrame, columns: Sequence[str]) -> Key:
    """The settings that name the rows of a query that names none."""
    varying = [name for name in AUTOMATIC if name not in columns and column_of(values, name).nunique() > 1]
    return tuple(varying) or ("family",)


def _places(values: pd.DataFrame, query: Query) -> dict[tuple[Key, Key], list[int]]:
    """Row and column of every cell -> the positions in `values` of what it shows."""
    texts = {name: column_of(values, name).tolist() for name in (*query.rows, *query.columns)}
    places: dict[tuple[Key, Key], list[int]] = {}
    for position in range(len(values)):
        row, column = (tuple(texts[name][position] for name in names) for names in (query.rows, query.columns))
        places.setdefault((row, column), []).append(position)
    return places


def _check_constants(values: pd.DataFrame, places: Mapping[tuple[Key, Key], Sequence[int]], query: Query) -> None:
    """Raise a UserError where costs of one data set in a column leave out different constants of their likelihoods."""
    if "less_constant" not in values:
        return
    counts = values["value"].notna() & values["cost_constant"].notna() & (values["less_constant"] == True)  # noqa: E712  # it may be missing
    if not counts.any():
        return
    costs = dict(zip(counts.index[counts], values.loc[counts, "cost_constant"], strict=True))
    datasets = (column_of(values, "dataset") + column_of(values, "dataset_options")).tolist()
    found: dict[tuple[Key, str], set[float]] = {}
    for (_, column), positions in places.items():
        for position in positions:
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


@dataclass(frozen=True)
class _Unnamed:
    """The settings that vary in a table and name neither rows nor columns, as texts by position; and those that do name them."""

    varying: Mapping[str, Mapping[int, str]]
    named: Mapping[str, Mapping[int, str]]

    @classmethod
    def of(cls, values: pd.DataFrame, named: Sequence[str]) -> _Unnamed:
        """Of the rows that have a value."""
        finished = values[values["value"].notna()]
        columns = {name: column_of(finished, name) for name in settings_of(finished) if name not in named}
        varying = {name: _by_position(column) for name, column in columns.items() if column.nunique() > 1}
        return cls(varying, {name: _by_position(column_of(finished, name)) for name in named})

    def check(self, positions: Sequence[int]) -> None:
        """Raise a UserError if the rows at `positions` differ in a setting that is not named."""
        found = {name: sorted({texts[i] for i in positions}) for name, texts in self.varying.items()}
        found = {name: texts for name, texts in found.items() if len(texts) > 1}
        if found:
            names = sorted(found, key=lambda name: name != "store")  # runs of different folders differ in much else too
            values = "; ".join(f"{name}: {', '.join(text or 'none' for text in found[name])}" for name in names[:MAX_SETTINGS_SHOWN])
            others = f"; and {len(names) - MAX_SETTINGS_SHOWN} others" if len(names) > MAX_SETTINGS_SHOWN else ""
            place = ", ".join(f"{name}={texts[positions[0]]}" for name, texts in self.named.items())
            raise UserError(
                f"the cell {place} would average over settings that vary: {values}{others}. "
                f"Name them with --rows or --columns, as --columns {names[0]}, or choose with --only {names[0]}=..."
            )


def _by_position(column: pd.Series[str]) -> dict[int, str]:
    return dict(zip(column.index.to_numpy().tolist(), column.tolist(), strict=True))


def _cell(columns: Mapping[str, Sequence[Any]], positions: Sequence[int], unnamed: _Unnamed) -> Cell:
    """The cell of the rows at `positions`, of which `columns` has ids, seeds and values.

    Raises:
        UserError: the rows differ in a setting that is not named, are several summaries, or repeat a seed.
    """
    finished = [i for i, value in enumerate(columns["value"]) if not pd.isna(value)]
    unnamed.check([positions[i] for i in finished])
    if finished and columns["kind"][finished[0]] == "summary":
        if len(finished) > 1:
            raise UserError(f"{len(finished)} summaries fall into one cell; name more settings with --rows or --columns")
        interval = columns["interval"][finished[0]]
        return Cell(float(columns["value"][finished[0]]), None if pd.isna(interval) else float(interval), None)
    counts = Counter(columns["seed"][i] for i in finished)
    repeated = [columns["run_id"][i] for i in finished if counts[columns["seed"][i]] > 1]
    if repeated:
        ids = ", ".join(repeated[:4])
        raise UserError(f"{len(repeated)} runs of one cell share seeds and all their settings ({ids}, ...): they cannot be averaged over seeds")
    return over_seeds(np.array([columns["value"][i] for i in finished], dtype=float), len(positions) - len(finished))


def _arranged(query: Query, cells: Mapping[tuple[Key, Key], Cell], better: str | None, notes: Sequence[str]) -> Comparison:
    """The table: columns by name, and rows by their mean rank, best first, if it is known what is better."""
    columns = sorted({column for _, column in cells}, key=_natural)
    rows = sorted({row for row, _ in cells}, key=_natural)
    best: set[tuple[int, int]] = set()
    if better:
        costs = {place: cell.mean if better == "lower" else -cell.mean for place, cell in cells.items() if not cell.empty}
        ordered: dict[Key, list[float]] = {column: [] for column in columns}
        for (_, column), cost in costs.items():
            insort(ordered[column], cost)
        rows.sort(key=lambda row: _rank([(costs[row, column], ordered[column]) for column in columns if (row, column) in costs]))
        best = {
            (i, j)
            for i, row in enumerate(rows)
            for j, column in enumerate(columns)
            if len(ordered[column]) > 1 and costs.get((row, column)) == ordered[column][0]
        }
    return Comparison(query, rows, columns, [[cells.get((row, column)) for column in columns] for row in rows], frozenset(best), better, notes)


def _rank(costs: Sequence[tuple[float, Sequence[float]]]) -> tuple[int, float]:
    """Mean rank of a row's costs among the ordered costs of their columns; a row without any comes last."""
    return (0, float(np.mean([bisect_left(column, cost) for cost, column in costs]))) if costs else (1, 0.0)


def _natural(key: Key) -> tuple[tuple[int, float, str], ...]:
    """A key to sort by: numbers by size, texts by name."""
    parts = []
    for text in key:
        try:
            parts.append((0, float(text), ""))
        except ValueError:
            parts.append((1, 0.0, text))
    return tuple(parts)


def _notes(values: pd.DataFrame, cells: Iterable[Cell]) -> list[str]:
    finished = values[values["value"].notna()]
    notes = []
    if (finished["kind"] == "summary").any():
        sources = ", ".join(sorted(set(finished.loc[finished["kind"] == "summary", "source"])))
        notes.append(f"values and intervals as published ({sources})")
    counts = sorted({cell.n for cell in cells if cell.n})
    if counts:
        seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        notes.append(f"{CAPTION} (n = {seeds})")
    if "estimate" in finished and (finished["estimate"] == True).any():  # noqa: E712  # it may be missing
        notes.append(f"of {int((finished['estimate'] == True).sum())} runs the KL is an estimate by samples")  # noqa: E712
    failed = values[values["value"].isna()]
    if len(failed):
        notes.append(f"{len(failed)} runs failed and have no value")
    return notes


def _mixed_devices(values: pd.DataFrame, places: Iterable[Sequence[int]]) -> list[str]:
    """A note where cells average over runs on different models of GPU, whose numbers differ by rounding."""
    if "device_name" not in values:
        return []
    gpus = values["device_name"].where((values["device"] == "cuda") & values["value"].notna())
    mixed = [found for at in places if len(found := set(gpus.iloc[list(at)].dropna())) > 1]
    return [f"{len(mixed)} cells mix models of GPU: {', '.join(sorted(set().union(*mixed)))}"] if mixed else []
