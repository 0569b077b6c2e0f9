"""Rows of tables by the settings of their runs: what `--only` allows, and a setting of every row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

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
            texts = {text for text in found if text == _text(value) or same(text, value)}
            if found and not texts:
                known = shortened(", ".join(text or "none" for text in found), 400)
                raise UserError(f"--only {key}={flagged(value)}: no result has it{nearest(str(value), found)}; {key} in these results: {known}")
            wanted |= texts
        kept &= column.isin(wanted)
    return values[kept]
