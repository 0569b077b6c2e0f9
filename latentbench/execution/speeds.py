"""How long a run will take, and how much memory, from stored runs that differ in nothing that costs time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from statistics import median

from latentbench.results.store import Store
from latentbench.suites.settings import Run

TIMELESS = frozenset({"seed", "beta", "protocol", "plugins", "sources"})
"""Fields of a run that cost no time."""
SETTINGS = tuple(name for name in Run.model_fields if name not in TIMELESS)
"""Settings that may cost time: all the others."""


def speeds(store: Store) -> dict[tuple[str, ...], float]:
    """Median wall seconds of stored runs by the settings that cost time."""
    return _medians(store, "wall_seconds")


def memories(store: Store) -> dict[tuple[str, ...], float]:
    """Median bytes of device memory of stored runs by the settings that cost time, which cost memory too."""
    return _medians(store, "device_peak_memory_bytes")


def expected(run: Run, known: Mapping[tuple[str, ...], float], otherwise: float) -> float:
    """What a run is expected to take, or `otherwise` where nothing like it was run."""
    return known.get(tuple(_text(getattr(run, name)) for name in SETTINGS), otherwise)


def _medians(store: Store, column: str) -> dict[tuple[str, ...], float]:
    runs = store.read("runs", [*SETTINGS, column])
    runs = runs[runs[column].notna()]
    values: dict[tuple[str, ...], list[float]] = {}
    for *key, value in runs.itertuples(index=False):
        values.setdefault(tuple(map(_text, key)), []).append(value)
    return {key: median(found) for key, found in values.items()}


def _text(value: object) -> str:
    """A setting as a row of `runs` holds it; a missing one comes back from pandas as None or not a number."""
    if isinstance(value, Mapping):
        return json.dumps(dict(value), sort_keys=True)
    return "" if value is None or value != value else str(value)  # noqa: PLR0124  # not a number is not itself
