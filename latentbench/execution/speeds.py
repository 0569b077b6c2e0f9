"""How long a run will take, and how much memory, from stored runs that differ in nothing that costs time."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from latentbench.results import tables
from latentbench.results.snapshot import Snapshot
from latentbench.suites.settings import Run

TIMELESS = frozenset({"beta", "protocol"})
"""Settings of a run that cost no time; nor do its seed and the versions of what it uses."""
SETTINGS = tuple(name for name in tables.SETTINGS if name not in TIMELESS)
"""The settings that may cost time: all others."""


def speeds(snapshot: Snapshot) -> dict[tuple[str, ...], float]:
    """Median wall seconds of stored runs by the settings that cost time."""
    return _medians(snapshot, "wall_seconds")


def memories(snapshot: Snapshot) -> dict[tuple[str, ...], float]:
    """Median bytes of device memory of stored runs by the settings that cost time, which cost memory too."""
    return _medians(snapshot, "device_peak_memory_bytes")


def expected(run: Run, known: Mapping[tuple[str, ...], float], otherwise: float) -> float:
    """What a run is expected to take, or `otherwise` where nothing like it was run."""
    row = run.to_row()
    return known.get(tuple(_text(row[name]) for name in SETTINGS), otherwise)


def _medians(snapshot: Snapshot, column: str) -> dict[tuple[str, ...], float]:
    runs = snapshot.runs.loc[snapshot.runs[column].notna(), [*SETTINGS, column]]
    values: dict[tuple[str, ...], list[float]] = {}
    for *key, value in runs.itertuples(index=False):
        values.setdefault(tuple(map(_text, key)), []).append(value)
    return {key: median(found) for key, found in values.items()}


def _text(value: object) -> str:
    """A setting, from a run or from pandas: one without a value, None or not a number there, is the same as one without options."""
    return "" if value is None or value != value or value == "{}" else str(value)  # noqa: PLR0124  # not a number is not itself
