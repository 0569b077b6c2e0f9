"""The contract of derived metrics: what leaderboards compute from stored metrics of several runs. And what their authors need: groups of rows."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from latentbench.errors import UserError
from latentbench.measure import Measure
from latentbench.part import Options, Registered
from latentbench.results.selection import INSIDE, column_of, settings_of
from latentbench.results.store import Store
from latentbench.results.tensors import read_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from latentbench.reporting.query import Query

ABOUT = ("family", "estimator", "dataset", "encoder", "latent_dim")
"""Settings by which messages and notes tell groups of runs apart."""
MAX_NAMED = 4
"""Runs, or values of a setting, that a message names."""


class Derived(Registered, ABC):
    """Base of all derived metrics. Leaderboards name one like a stored metric, with its options in brackets: `percent_drop(of=nelbo)`."""

    measure: ClassVar[Measure]

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def derive(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """The rows that `latentbench.reporting.select` gives for the query, with the derived metric as `value`.

        A value of every run (kind `run`) is averaged over seeds as any metric is; the rows are those of `select` with another `value`. A value of
        several runs is one row (kind `summary`, made by `summary`) with its interval from `low` to `high`, either of which may be infinite;
        `censored` is 1 for a value that is only known to lie above `value`, and -1 for one that lies below. A leaderboard has the texts of a column
        `note` below it.

        Raises:
            UserError: what it needs is not stored, or does not determine the value: it names the runs and the metric.
        """


def varying(values: pd.DataFrame) -> dict[str, NDArray[np.object_]]:
    """The settings in which rows differ, by name, dotted where nested: their texts, empty where a run does not read one."""
    names: dict[str, list[str]] = {}
    for name in settings_of(values):
        names.setdefault(name.partition(".")[0], []).append(name)
    found: dict[str, NDArray[np.object_]] = {}
    for outer in [name for name in names if name in values]:
        codes, kinds = pd.factorize(values[outer], use_na_sentinel=False)
        if len(kinds) > 1:  # a few of many rows are read, one of each kind
            few = values.take(np.unique(codes, return_index=True)[1])
            texts = {name: column_of(few, name).to_numpy(dtype=object) for name in names[outer]}
            found |= {name: text[codes] for name, text in texts.items() if len(set(text)) > 1}
    return found


def alike(values: pd.DataFrame, apart: Collection[str]) -> Iterator[pd.DataFrame]:
    """The rows in groups that share all their settings, the store too, but for those that are `apart` (with all that are nested in them).

    A setting that only some runs of a group read, as a temperature, does not set them apart.

    Raises:
        UserError: of a group, those runs that read such a setting differ in it.
    """
    columns = {name: column for name, column in varying(values).items() if not ({name, name.partition(".")[0]} & {*apart, "source"})}
    groups = [np.arange(len(values))]
    for nested in (False, True, True):  # whether all runs read a setting is asked within a family, a network, and so again after a split
        for name, column in columns.items():
            if ("." in name) == nested:
                groups = [part for group in groups for part in _split(group, column, nested)]
    for group in groups:
        for name, column in columns.items():
            found = sorted({*column[group]} - {""})
            if len(found) > 1:
                shown = ", ".join(found[:MAX_NAMED])
                raise UserError(f"runs that belong together differ in {name}: {shown} ({_about(values.iloc[group])}); choose with --only {name}=...")
        yield values.iloc[group]


def _split(group: NDArray[np.intp], column: NDArray[Any], nested: bool) -> list[NDArray[np.intp]]:
    """A group by the values of a setting; whole where it is nested and not read by all of it."""
    inside = column[group]
    if nested and "" in inside:
        return [group]
    return [group[inside == text] for text in sorted(set(inside))]


def _about(rows: pd.DataFrame) -> str:
    return ", ".join(f"{name}={text}" for name in ABOUT if (text := column_of(rows, name).iloc[0]))


def by_seed(rows: pd.DataFrame) -> pd.DataFrame:
    """Runs that share all their settings, in the order of their seeds.

    Raises:
        UserError: they share a seed, too.
    """
    repeated = rows[rows["seed"].duplicated(keep=False)]
    if len(repeated):
        raise UserError(f"{named(repeated)} share seeds and all their settings: they cannot be averaged over seeds")
    return rows.sort_values("seed")


def named(rows: pd.DataFrame) -> str:
    """How a message names runs: how many they are, and the ids of the first."""
    ids = sorted({str(run_id) for run_id in rows["run_id"].dropna()})
    return f"{len(ids)} runs ({', '.join(ids[:MAX_NAMED])}{', ...' if len(ids) > MAX_NAMED else ''})"


def summary(rows: pd.DataFrame, apart: Collection[str], query: Query, **fields: Any) -> dict[str, Any]:
    """A row of kind `summary` about a group of rows: the settings that they share, and `fields` (`value`, `low`, `high`, `censored`, `n`, `failed`).

    `apart` are settings, dotted where nested, that the row does not have.
    """
    row = {str(name): _shared(rows[name]) for name in rows.columns}
    for name in apart:
        outer, _, inner = name.partition(".")
        row[outer] = _without(row.get(outer), inner) if inner else None
    sources = sorted({str(source) for source in rows.get("source", rows["kind"] * 0).dropna()} - {""})
    failed = fields.get("failed", 0)
    note = f"{query.metric} of {_about(rows)}: without {failed} failed {'run' if failed == 1 else 'runs'}" if failed else None
    about = {"kind": "summary", "metric": query.metric, "split": query.split, "source": "; ".join(sources) or None, "status": "done", "note": note}
    nothing = dict.fromkeys(("seed", "run_id", "index", "index_name", "standard_error", "low", "high"))
    width = fields.get("high", np.inf) - fields.get("low", 0)
    return {**row, **about, **nothing, "censored": 0, "interval": width / 2 if np.isfinite(width) else None, **fields}


def _shared(column: pd.Series[Any]) -> Any:
    """What all rows have; of JSON objects, the entries that all that have an entry agree on."""
    found = list(column.dropna().unique())
    if len(found) < 2 or column.name not in INSIDE:
        return found[0] if len(found) == 1 else None
    objects: list[Mapping[str, Any]] = [json.loads(text) for text in found]
    keys = sorted({key for one in objects for key in one})
    values = {key: [one[key] for one in objects if key in one] for key in keys}
    return json.dumps({key: each[0] for key, each in values.items() if all(value == each[0] for value in each)}, sort_keys=True)


def _without(text: Any, key: str) -> Any:
    """A JSON object without an entry."""
    return json.dumps({name: value for name, value in json.loads(text).items() if name != key}, sort_keys=True) if isinstance(text, str) else text


def arrays_of(store: str | Path, run_id: str, evaluation_id: str) -> dict[str, NDArray[Any]] | None:
    """The arrays that an evaluation of a run has made; None where there are none.

    Raises:
        UserError: they are damaged, or cannot be read.
    """
    try:
        return read_arrays(Path(store) / "arrays" / run_id / f"{evaluation_id}.safetensors")
    except FileNotFoundError:
        return None


def units_of(stores: Sequence[Path], metric: str, split: str) -> pd.DataFrame:
    """A metric of every latent of every run: `store`, `run_id`, `evaluation_id`, `unit` and `value`.

    Raises:
        UserError: a folder cannot be read.
    """
    import pyarrow.compute as pc

    frames = []
    for path in stores:
        rows = Store(path).rows("units", ["run_id", "evaluation_id", "split", "metric", "unit", "value"])
        rows = rows.filter(pc.and_(pc.equal(rows["metric"], metric), pc.equal(rows["split"], split)))
        frames.append(rows.select(["run_id", "evaluation_id", "unit", "value"]).to_pandas().assign(store=str(path)))
    found: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return found
