"""Leaderboards: a metric of stored runs, mean and interval over seeds, as a table of settings against settings."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from latentbench.errors import UserError, flagged, nearest, shortened, unknown
from latentbench.numbers import same
from latentbench.results.store import Store
from latentbench.results.tables import SETTINGS
from latentbench.suites.sweep import NESTED, check_key
from latentbench.suites.yaml_source import parse_value

CONFIDENCE = 0.99
INSIDE = (*NESTED, "plugins", "dataset_sources")
"""Columns that hold JSON objects."""
NAMEABLE = [*(name for name in SETTINGS if name not in NESTED), "source", "store"]
"""What rows and columns can be named by; also options, training settings, versions of plugins and hashes of data files, dotted."""
AUTOMATIC = ("family", "estimator", "estimator_options.covariance", "encoder", "decoder", "dataset", "latent_dim", "beta")
"""Settings that name rows by themselves where they vary, when `rows` are not given."""


@dataclass(frozen=True)
class Query:
    """What a leaderboard shows."""

    metric: str = "nelbo"
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    split: str = "validation"
    index: float | None = None
    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    run_ids: frozenset[str] | None = None
    evaluations: frozenset[str] | None = None
    values_of: str = "auto"
    """`runs`, `summaries`, or `auto`: a store's summaries of the metric where it has some, else its runs."""


@dataclass(frozen=True)
class Cell:
    """A mean over `n` seeds and the half-width of its 99 % interval, or a summary as published; `missing` seeds failed."""

    mean: float
    interval: float | None
    n: int | None
    missing: int = 0

    def __str__(self) -> str:
        if self.n == 0:
            return f"- ({self.missing} failed)"
        digits = _decimals(self.mean, self.interval) if self.n is not None else max(map(_printed_decimals, (self.mean, self.interval or 0.0)))
        text = f"{self.mean:.{digits}f}"
        if self.interval is not None:
            text += f" ± {self.interval:.{digits}f}"
        return text + (f" ({self.missing} failed)" if self.missing else "")


@dataclass(frozen=True)
class Comparison:
    """A leaderboard. `cells[row][column]` is a `Cell` or None; `best` holds the best of every column."""

    query: Query
    rows: Sequence[tuple[str, ...]]
    columns: Sequence[tuple[str, ...]]
    cells: Sequence[Sequence[Cell | None]]
    best: frozenset[tuple[int, int]]
    better: str | None
    notes: Sequence[str]


def compare(stores: Sequence[Path], query: Query, better: Mapping[str, str]) -> Comparison:
    """The leaderboard of one metric over one or more results folders.

    Args:
        stores: results folders.
        query: what to show.
        better: metric -> `lower` or `higher`; others are shown in the order of their names, with no best.

    Raises:
        UserError: a folder has no results, nothing matches, a name is unknown, or a cell would average over a setting that varies.
    """
    for name in [*query.rows, *query.columns, *query.only]:
        _check_name(name)
    values = pd.concat([_values(path, query) for path in stores], ignore_index=True)
    values = _only(values, query)
    if values.empty:
        raise UserError(_nothing(stores, query))
    values = values.reset_index(drop=True)
    rows = tuple(query.rows) or _automatic(values, query.columns)
    keys = {name: column_of(values, name) for name in dict.fromkeys((*rows, *query.columns))}
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
    texts = {name: column.tolist() for name, column in keys.items()}
    for position in range(len(values)):
        row, column = (tuple(texts[name][position] for name in names) for names in (rows, query.columns))
        groups.setdefault((row, column), []).append(position)
    settings = _Settings.of(values[values["value"].notna()], (*rows, *query.columns))
    columns = {name: values[name].tolist() for name in ("run_id", "seed", "value", "kind", "interval")}
    cells = {place: _cell({name: [c[i] for i in at] for name, c in columns.items()}, at, settings) for place, at in groups.items()}
    notes = [*_notes(values, cells.values()), *_mixed_devices(values, groups.values())]
    return _arranged(query, rows, cells, better.get(query.metric), notes)


def _only(values: pd.DataFrame, query: Query) -> pd.DataFrame:
    """The rows that `only` selects.

    Raises:
        UserError: no row has one of the values.
    """
    kept = pd.Series(True, index=values.index)
    for key, allowed in query.only.items():
        column = column_of(values, key)
        found, wanted = sorted(set(column)), set()
        for value in allowed:
            texts = {text for text in found if text == _text(value) or same(text, value)}
            if found and not texts:
                told = shortened(", ".join(text or "none" for text in found), 400)
                raise UserError(f"--only {key}={flagged(value)}: no result has it{nearest(str(value), found)}, and they have {key}: {told}")
            wanted |= texts
        kept &= column.isin(wanted)
    return values[kept]


def column_of(values: pd.DataFrame, name: str) -> pd.Series[str]:
    """A setting of every row as text; empty where a run does not have it. Dotted names look into options and training settings."""
    outer, _, inner = name.partition(".")
    if outer not in values:
        return pd.Series("", index=values.index)
    texts = {raw: _text(json.loads(raw).get(inner) if inner and isinstance(raw, str) else None if inner else raw) for raw in values[outer].unique()}
    column: pd.Series[str] = values[outer].map(texts)
    return column.fillna("")  # what is missing is not found under itself


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


def _values(path: Path, query: Query) -> pd.DataFrame:
    """One store's numbers of the metric: a row a run (failed ones without value), or a row a summary."""
    store = Store(path)
    if not store.exists():
        raise UserError(f"results folder {path} has no results" + ("" if path.exists() else " (it does not exist)"))
    summaries = _selected(store.read("summaries"), query).assign(seed=None, run_id=None, kind="summary")
    if query.values_of == "summaries" or (query.values_of == "auto" and len(summaries) and query.run_ids is None):
        return summaries.assign(store=str(path))
    runs = store.read("runs").drop(columns="sources")
    if query.run_ids is not None:
        runs = runs[runs["run_id"].isin(query.run_ids)]
    metrics = _selected(store.read("metrics"), query)
    if query.evaluations is not None:
        metrics = metrics[metrics["evaluation_id"].isin(query.evaluations)]
    _one_evaluation(metrics, query, store)
    done = runs[runs["status"] == "done"].merge(metrics, on="run_id", how="inner")
    failed = runs[runs["status"] == "failed"] if len(done) else runs.head(0)  # counted as missing seeds of the table that there is
    return pd.concat([frame for frame in (done, failed) if len(frame)] or [done]).assign(kind="run", store=str(path), interval=None)


def _selected(frame: pd.DataFrame, query: Query) -> pd.DataFrame:
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


def _one_evaluation(metrics: pd.DataFrame, query: Query, store: Store) -> None:
    """A metric measured in two ways (another threshold) is two metrics: refuse to mix them."""
    doubled = metrics[metrics.duplicated("run_id", keep=False)]
    if len(doubled):
        titles = store.evaluation_titles()
        ids = ", ".join(f"{i}, which is {titles[i]}" if i in titles else str(i) for i in sorted(set(doubled["evaluation_id"])))
        raise UserError(f"metric '{query.metric}' was measured by several evaluations of one run ({ids}); choose one with --evaluation")


TOLD = 5
"""How many of the settings that vary a message names."""


@dataclass(frozen=True)
class _Settings:
    """The settings that vary anywhere in the table and are not named, as texts by position; and those that are named."""

    varying: Mapping[str, Mapping[int, str]]
    named: Mapping[str, Mapping[int, str]]

    @classmethod
    def of(cls, finished: pd.DataFrame, named: Sequence[str]) -> _Settings:
        """Of rows that have a value; their index is their position."""
        columns = {name: column_of(finished, name) for name in _settings_of(finished) if name not in named}
        varying = {name: _by_position(column) for name, column in columns.items() if column.nunique() > 1}
        return cls(varying, {name: _by_position(column_of(finished, name)) for name in named})

    def check(self, positions: Sequence[int]) -> None:
        """Raise a UserError if the rows at `positions` differ in a setting that is not named."""
        found = {name: sorted({texts[i] for i in positions}) for name, texts in self.varying.items()}
        found = {name: texts for name, texts in found.items() if len(texts) > 1}
        if found:
            names = sorted(found, key=lambda name: name != "store")  # of folders that differ in it, much else differs too
            values = "; ".join(f"{name}: {', '.join(text or 'none' for text in found[name])}" for name in names[:TOLD])
            others = f"; and {len(names) - TOLD} others" if len(names) > TOLD else ""
            place = ", ".join(f"{name}={texts[positions[0]]}" for name, texts in self.named.items())
            raise UserError(
                f"the cell {place} would average over settings that vary: {values}{others}. "
                f"Name them with --rows or --columns, as --columns {names[0]}, or choose with --only {names[0]}=..."
            )


def _by_position(column: pd.Series[str]) -> dict[int, str]:
    return dict(zip(column.index.to_numpy().tolist(), column.tolist(), strict=True))


def _cell(columns: Mapping[str, Sequence[Any]], positions: Sequence[int], settings: _Settings) -> Cell:
    """The aggregate of the rows of one cell, of which `columns` has what counts.

    Raises:
        UserError: the rows differ in a setting that is not named, or mix stores.
    """
    finished = [i for i, value in enumerate(columns["value"]) if not pd.isna(value)]
    if not finished:
        return Cell(float("nan"), None, 0, len(positions))
    settings.check([positions[i] for i in finished])
    if columns["kind"][finished[0]] == "summary":
        if len(finished) > 1:
            raise UserError(f"{len(finished)} summaries fall into one cell; name more settings with --rows or --columns")
        interval = columns["interval"][finished[0]]
        return Cell(float(columns["value"][finished[0]]), None if pd.isna(interval) else float(interval), None)
    counts = Counter(columns["seed"][i] for i in finished)
    repeated = [columns["run_id"][i] for i in finished if counts[columns["seed"][i]] > 1]
    if repeated:
        ids = ", ".join(repeated[:4])
        raise UserError(f"{len(repeated)} runs of one cell share seeds and all their settings ({ids}, ...): they cannot be averaged over seeds")
    seeds = np.array([columns["value"][i] for i in finished], dtype=float)
    return Cell(float(seeds.mean()), half_width(seeds), len(seeds), len(positions) - len(finished))


def half_width(values: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    """Half the width of the 99 % Student t interval of the mean; None for a single value."""
    n = len(values)
    return float(_t(n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else None


@cache
def _t(freedom: int) -> float:
    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def _settings_of(values: pd.DataFrame) -> Iterator[str]:
    """Every setting that identifies runs, dotted where nested. Where the same settings come from several stores, the store counts too."""
    yield from NAMEABLE
    for outer in INSIDE:
        inner = {key for raw in values.get(outer, pd.Series(dtype=object)).dropna().unique() for key in json.loads(raw)}
        yield from sorted(f"{outer}.{key}" for key in inner)


def _automatic(values: pd.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    varying = [name for name in AUTOMATIC if name not in columns and column_of(values, name).nunique() > 1]
    return tuple(varying) or ("family",)


def _arranged(
    query: Query, rows: Sequence[str], cells: Mapping[tuple[tuple[str, ...], tuple[str, ...]], Cell], better: str | None, notes: Sequence[str]
) -> Comparison:
    """Rows by their mean over the columns they share with all rows, best first; columns by name."""
    columns = sorted({column for _, column in cells}, key=_natural)
    names = sorted({row for row, _ in cells}, key=_natural)
    grid = {row: [cells.get((row, column)) for column in columns] for row in names}
    if better:
        sign = 1 if better == "lower" else -1
        means = [
            sorted(sign * cell.mean for row in grid.values() if (cell := row[i]) is not None and not np.isnan(cell.mean)) for i in range(len(columns))
        ]
        names.sort(key=lambda row: _rank(grid[row], means, sign))
    best = set()
    for position in range(len(columns)):
        scored = [(cell.mean, index) for index, row in enumerate(names) if (cell := grid[row][position]) is not None and not np.isnan(cell.mean)]
        if better and len(scored) > 1:
            top = (min if better == "lower" else max)(mean for mean, _ in scored)
            best |= {(index, position) for mean, index in scored if mean == top}
    query = Query(**{**query.__dict__, "rows": tuple(rows)})
    return Comparison(query, names, columns, [grid[row] for row in names], frozenset(best), better, notes)


def _rank(row: Sequence[Cell | None], means: Sequence[Sequence[float]], sign: int) -> tuple[int, float]:
    """Mean rank of a row among the ordered means of every column, over the columns where it has a value; rows without any come last."""
    ranks = [bisect_left(column, sign * cell.mean) for cell, column in zip(row, means, strict=True) if cell is not None and not np.isnan(cell.mean)]
    return (0, float(np.mean(ranks))) if ranks else (1, 0.0)


def _natural(key: tuple[str, ...]) -> tuple[tuple[int, float, str], ...]:
    """Numbers by size, texts by name."""
    parts = []
    for text in key:
        try:
            parts.append((0, float(text), ""))
        except ValueError:
            parts.append((1, 0.0, text))
    return tuple(parts)


def _decimals(mean: float, interval: float | None) -> int:
    """Decimals that show two digits of the interval below 1, or four of the mean."""
    if interval is not None and interval > 0:
        return int(np.clip(1 - np.floor(np.log10(interval)), 1, 4))
    return int(np.clip(3 - np.floor(np.log10(abs(mean))), 1, 4)) if mean and np.isfinite(mean) else 1


def _printed_decimals(value: float) -> int:
    """Decimals that a published number was printed with."""
    return len(f"{value:.10f}".rstrip("0").partition(".")[2]) or 1


def _notes(values: pd.DataFrame, cells: Iterable[Cell]) -> list[str]:
    finished = values[values["value"].notna()]
    notes = []
    if (finished["kind"] == "summary").any():
        sources = ", ".join(sorted(set(finished.loc[finished["kind"] == "summary", "source"])))
        notes.append(f"values and intervals as published ({sources})")
    counts = sorted({cell.n for cell in cells if cell.n})
    if counts:
        seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        notes.append(f"mean ± 99 % Student t interval over seeds (n = {seeds})")
    failed = values[values["value"].isna()]
    if len(failed):
        notes.append(f"{len(failed)} runs failed and have no value")
    return notes


def _mixed_devices(values: pd.DataFrame, groups: Iterable[Sequence[int]]) -> list[str]:
    """A note where cells average over runs on different models of GPU, whose numbers differ by rounding."""
    if "device_name" not in values:
        return []
    gpus = values["device_name"].where((values["device"] == "cuda") & values["value"].notna())
    mixed = [found for at in groups if len(found := set(gpus.iloc[list(at)].dropna())) > 1]
    return [f"{len(mixed)} cells mix models of GPU: {', '.join(sorted(set().union(*mixed)))}"] if mixed else []


def _nothing(stores: Sequence[Path], query: Query) -> str:
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
    strangers = sorted((query.evaluations or frozenset()) - evaluations)
    if query.run_ids is None and strangers:
        return unknown(f"evaluation of '{query.metric}'", strangers[0], evaluations)
    if query.only:
        wanted = " ".join(f"{key}={','.join(map(str, values))}" for key, values in query.only.items())
        return f"no result matches --only {wanted}"
    return f"no result has the metric '{query.metric}' on the split '{query.split}'; its splits: {', '.join(sorted(splits)) or 'none'}"


def render(comparison: Comparison, style: str = "simple") -> str:
    """The table as text, in one of tabulate's formats, or `csv`.

    Raises:
        UserError: there is no such format.
    """
    from tabulate import tabulate, tabulate_formats

    if style not in (*tabulate_formats, "csv"):
        raise UserError(f"unknown format '{style}'{nearest(style, tabulate_formats)}; known: csv, {', '.join(tabulate_formats)}")
    query = comparison.query
    header = [*query.rows, *(" ".join(column) or _title(query) for column in comparison.columns)]
    if style == "csv":
        return _csv(comparison)
    marked = comparison.better is not None
    body = [
        [*row, *("" if cell is None else ("* " if marked and (i, j) in comparison.best else "") + str(cell) for j, cell in enumerate(cells))]
        for i, (row, cells) in enumerate(zip(comparison.rows, comparison.cells, strict=True))
    ]
    table = tabulate(body, header, tablefmt=style, disable_numparse=True)
    if style in {"latex", "latex_booktabs", "latex_raw", "latex_longtable", "html", "unsafehtml", "tsv"}:
        return table
    arrow = {"lower": ", lower is better, * best of its column", "higher": ", higher is better, * best of its column", None: ""}[comparison.better]
    return f"{_title(query)} on {query.split}{arrow}\n\n{table}\n\n{'; '.join(comparison.notes)}"


def _title(query: Query) -> str:
    return query.metric if query.index is None else f"{query.metric} at {query.index:g}"


def _csv(comparison: Comparison) -> str:
    """Long form: one line a cell, numbers unrounded."""
    query = comparison.query
    records: list[dict[str, Any]] = [
        {**dict(zip(query.rows, row, strict=True)), **dict(zip(query.columns, column, strict=True))}
        | {"metric": _title(query), "mean": cell.mean, "interval": cell.interval, "n": cell.n, "missing": cell.missing}
        for row, cells in zip(comparison.rows, comparison.cells, strict=True)
        for column, cell in zip(comparison.columns, cells, strict=True)
        if cell is not None
    ]
    return pd.DataFrame(records).to_csv(index=False).rstrip("\n")


def parse_only(pairs: Sequence[str]) -> dict[str, list[Any]]:
    """`key=value,value` filters from the command line.

    Raises:
        UserError: one of them is not of that form.
    """
    only: dict[str, list[Any]] = {}
    for pair in pairs:
        key, sign, values = pair.partition("=")
        if not sign or not all(values.split(",")):
            raise UserError(f"--only {shortened(pair)}: expected key=value, or key=value,value")
        try:
            only.setdefault(key, []).extend(parse_value(value) for value in values.split(","))
        except UserError as error:
            raise UserError(f"--only {shortened(pair)}: {error}") from error
    return only
