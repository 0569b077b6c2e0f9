"""Rows of tables by the settings of their runs: what `--only` allows, and a setting of every row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from latentbench.errors import UserError, flagged, nearest, shortened, unknown
from latentbench.numbers import same
from latentbench.results.tables import SETTINGS
from latentbench.suites.sweep import NESTED, check_key

INSIDE = (*NESTED, "plugins", "dataset_sources")
"""Columns that hold JSON objects."""
NAMEABLE = [*(name for name in SETTINGS if name not in NESTED), "source", "store"]
"""What rows and columns can be named by; also options, training settings, versions of plugins and hashes of data files, dotted."""


def column_of(values: pd.DataFrame, name: str) -> pd.Series[str]:
    """A setting of every row as text; empty where a run does not have it. Dotted names refer to options and training settings."""
    return pd.Series(Texts(values)(name), index=values.index)


class Texts:
    """The settings of a table's rows as texts, as of `column_of`; many are asked for, so that columns are taken out of the table once."""

    def __init__(self, values: pd.DataFrame) -> None:
        self.values = values
        self.columns: dict[str, list[Any]] = {}

    def __call__(self, name: str) -> list[str]:
        """The setting of every row."""
        outer, _, inner = name.partition(".")
        if outer not in self.values:
            return [""] * len(self.values)
        if outer not in self.columns:
            self.columns[outer] = self.values[outer].tolist()
        column = self.columns[outer]
        texts = {raw: text_of(_object(raw).get(inner) if isinstance(raw, str) else None) if inner else text_of(raw) for raw in set(column)}
        return [texts[raw] for raw in column]


def settings_of(values: pd.DataFrame) -> Iterator[str]:
    """Every setting that identifies runs, dotted where nested, and the store: the same settings may come from several."""
    yield from NAMEABLE
    for outer in INSIDE:
        inner = {key for raw in set(values.get(outer, pd.Series(dtype=object)).tolist()) if isinstance(raw, str) for key in _object(raw)}
        yield from sorted(f"{outer}.{key}" for key in inner)


@lru_cache(maxsize=100_000)
def _object(text: str) -> Mapping[str, Any]:
    """A JSON object; settings of many runs have one text."""
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def text_of(value: Any) -> str:
    """A setting as text, with all its digits; empty where a run does not have it."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return repr(float(value)).removesuffix(".0") if isinstance(value, float) else str(value)


def check_name(name: str) -> None:
    """Raise a UserError unless `name` is a setting that stored runs have."""
    outer, _, inner = name.partition(".")
    if outer == "training":
        check_key(name)
    if name not in (*NAMEABLE, "seed", "run_id") and not (inner and outer in INSIDE):
        raise UserError(unknown("setting", name, [*NAMEABLE, "seed", *(f"{n}.…" for n in INSIDE)]))


def matching(values: pd.DataFrame, only: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
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
            texts = {text for text in found if text == text_of(value) or same(text, value)}
            if found and not texts:
                known = shortened(", ".join(text or "none" for text in found), 400)
                raise UserError(f"--only {key}={flagged(value)}: no result has it{nearest(str(value), found)}; {key} in these results: {known}")
            wanted |= texts
        kept &= column.isin(wanted)
    return values[kept]


def selected(runs: pa.Table, only: Mapping[str, Sequence[Any]]) -> pa.Table:
    """The rows of `runs`, all of its columns, whose settings have one of the values that `only` allows.

    Raises:
        UserError: a setting is unknown, or no row has one of the values.
    """
    for key in only:
        check_name(key)
    return runs.take(matching(runs.to_pandas(), only).index.to_list()) if only else runs
