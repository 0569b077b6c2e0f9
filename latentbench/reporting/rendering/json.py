"""A leaderboard as JSON, for other programs."""

from __future__ import annotations

import json as standard
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any

from latentbench.reporting.comparison import Comparison

VERSION = 1
"""Of the object's shape: raised when a key goes or changes its meaning, not when one is added."""


def json(comparison: Comparison) -> str:
    """An object with `version` and the fields of `Comparison`, as ASCII.

    `cells` has a list for every row with an object (the fields of `Cell`, `contrast` with those of `Contrast`) or null for every column. Numbers are
    unrounded. One that is not finite is null, as JSON has none: a cell without a mean has `n` 0, and its `failed`, `missing`, `nan` and `infinite`
    count its seeds.
    """
    return standard.dumps({"version": VERSION, **_plain(comparison)}, indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    """Dictionaries, lists and what JSON has, of whatever numbers: numpy's too."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not isfinite(value) else value
