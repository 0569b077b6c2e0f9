"""Published values that a suite expects, out of the tables of a results folder: summaries, and runs, a row a seed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentbench.errors import UserError
from latentbench.measure import Measure
from latentbench.numbers import same
from latentbench.reporting.selecting import declarations
from latentbench.reporting.verdicts import Published
from latentbench.results.store import Store
from latentbench.results.tables import SETTINGS, TABLES, read_fragment
from latentbench.suites.expect import Verify, published_folder
from latentbench.suites.sweep import NESTED

if TYPE_CHECKING:
    import pandas as pd

PLACE = ("device", "compile", "protocol")
"""Settings that published rows are compared over: where a model was trained, and the preset whose settings are there themselves."""
Settings = Mapping[str, Any]
"""Settings of a row that are set, dotted where nested."""


@dataclass(frozen=True)
class Measured:
    """What was measured: a metric on a split, at an index where it has several. `index` is a text, so that .1 is one index whatever its last bits."""

    metric: str
    split: str
    index: str = ""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Measured:
        """What a row of `metrics` or `summaries` is about."""
        return cls(str(row["metric"]), str(row["split"]), "" if row["index"] is None else f"{row['index']:.9g}")


@dataclass(frozen=True)
class Expected:
    """One published value: its table, the settings of the model, what was measured, and the evaluation that measured it, if that is known."""

    table: str
    settings: Settings
    measured: Measured
    published: Published
    source: str = ""
    index_name: str = ""
    evaluation: tuple[str, Settings] | None = None


@dataclass(frozen=True)
class Tables:
    """The published values of a suite, what their metrics mean, and tables whose folder is not there."""

    values: Sequence[Expected]
    measures: Mapping[str, Measure] = field(default_factory=dict)
    missing: Sequence[str] = ()


def expected(suite: Path, tables: Mapping[str, Verify]) -> Tables:
    """The values of published tables, named `folder/table`, that belong to a suite file.

    Raises:
        UserError: a folder has no such table, or a file of it is damaged.
    """
    values: list[Expected] = []
    folders: dict[str, Path] = {}
    missing = []
    for name, how in tables.items():
        folder, _, table = name.partition("/")
        path = published_folder(suite, folder)
        if path is None:
            missing.append(name)
            continue
        folders[folder] = path
        values += [*_summaries(path, table, name, how), *_runs(path, table, name)]
    return Tables(values, declarations(list(folders.values())), missing)


def settings_of_row(row: Mapping[str, Any], names: Sequence[str] = tuple(SETTINGS)) -> dict[str, Any]:
    """Those settings of a row that are set, dotted where nested."""
    found: dict[str, Any] = {}
    for name in names:
        value = row.get(name)
        if value is None:
            continue
        if name in (*NESTED, "plugins"):
            found |= _nested(name, value)
        else:
            found[name] = value
    return found


@cache
def _nested(name: str, text: str) -> Settings:
    """The settings in a column of JSON objects; rows have few different ones."""
    return {f"{name}.{inner}": given for inner, given in json.loads(text).items() if given is not None}


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame; missing values, and those that are not a number, are None."""
    columns = frame.astype(object).where(frame.notna(), None)
    names = [str(name) for name in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*(columns[name].tolist() for name in columns), strict=True)]


def fits(published: Settings, run: Settings) -> bool:
    """Whether a run has all settings that a published value has, but for where it was trained."""
    return all(name in PLACE or (name in run and (run[name] == value or same(run[name], value))) for name, value in published.items())


def _summaries(path: Path, table: str, name: str, how: Verify) -> Iterator[Expected]:
    rows = _rows(path, "summaries", table)
    digits: dict[str, int] = defaultdict(int)
    for row in rows:
        printed = [row[column] for column in ("value", "interval") if row[column] is not None]
        digits[row["metric"]] = max([digits[row["metric"]], *map(_decimals, printed)])
    evaluations = _evaluations(path, table)
    for row in rows:
        if row["value"] is None:
            continue
        published = _published(row, how, 0.5 * 10.0 ** -digits[row["metric"]])
        yield _expected(row, name, published, evaluations.get((table, row["metric"])))


def _published(row: Mapping[str, Any], how: Verify, rounding: float) -> Published:
    value, bar = float(row["value"]), None if row["interval"] is None else float(row["interval"])
    if bar is None or how.bars == "none":
        return Published.of_value(value, None, rounding)
    return Published.of_value(value, bar, rounding) if how.bars == "value" else Published.of_means(value, bar, int(how.bars), rounding)


def _runs(path: Path, table: str, name: str) -> Iterator[Expected]:
    """The values of runs, a row a seed, by settings: those whose metrics are in the table's file, or whose settings are."""
    store = Store(path)
    metrics = _rows(path, "metrics", table)
    ids = {row["run_id"] for row in metrics or _rows(path, "runs", table)}
    if not ids:
        return
    runs = {row["run_id"]: row for row in records_of(store.read("runs", ["run_id", "seed", "source", *SETTINGS])) if row["run_id"] in ids}
    metrics = metrics or [row for row in records_of(store.read("metrics")) if row["run_id"] in ids]
    evaluations = _evaluations(path, table)
    cells: dict[tuple[tuple[Any, ...], Measured], list[dict[str, Any]]] = defaultdict(list)
    for row in metrics:
        if row["run_id"] in runs and row["value"] is not None:
            run = runs[row["run_id"]]
            cells[tuple(run[setting] for setting in SETTINGS), Measured.of(row)].append({**run, **row})
    for (_, measured), rows in cells.items():
        _check_seeds(rows, name, measured)
        values = [float(row["value"]) for row in rows]
        published = Published.of_seeds(values) if len(values) > 1 else Published.of_value(values[0])
        yield _expected(rows[0], name, published, evaluations.get((rows[0]["run_id"], measured.metric)))


def _check_seeds(rows: Sequence[Mapping[str, Any]], table: str, measured: Measured) -> None:
    """Raise a UserError where one seed has two values, as they would count twice."""
    seeds = [row["seed"] for row in rows]
    if len(set(seeds)) < len(seeds):
        about = " ".join(str(rows[0][name]) for name in ("family", "estimator", "dataset") if rows[0][name] is not None)
        raise UserError(f"{table}: two published runs of {about} share a seed and all settings, and both have a value of '{measured.metric}'")


def _expected(row: Mapping[str, Any], table: str, published: Published, evaluation: tuple[str, Settings] | None) -> Expected:
    return Expected(table, settings_of_row(row), Measured.of(row), published, str(row["source"] or ""), str(row["index_name"] or ""), evaluation)


def _rows(path: Path, kind: str, table: str) -> list[dict[str, Any]]:
    """The rows of one file of a table; none where there is no such file."""
    file = path / kind / f"{table}.parquet"
    if not file.exists():
        return []
    return records_of(read_fragment(file, kind, list(TABLES[kind])).to_pandas())


def _evaluations(path: Path, table: str) -> dict[tuple[str, str], tuple[str, Settings]]:
    """Run (of summaries, the table's name) and metric -> the evaluation that measured it, with its options."""
    found: dict[tuple[str, str], tuple[str, Settings]] = {}
    for row in _rows(path, "evaluations", table):
        options = {key: value for key, value in json.loads(row["options"] or "{}").items() if value is not None}
        for metric in json.loads(row["metrics"] or "{}"):
            found[row["run_id"], metric] = (str(row["evaluation"]), options)
    return found


def _decimals(value: float) -> int:
    """Decimals that a number was printed with, at least."""
    return len(f"{value:.10f}".rstrip("0").partition(".")[2])
