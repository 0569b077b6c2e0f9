"""How long a run will take, from stored runs that differ in nothing that costs time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from statistics import median

from latentbench.settings import Run
from latentbench.store import Store

SETTINGS = ("family", "family_options", "estimator", "dataset", "encoder", "decoder", "latent_dim", "training", "limit_data")
"""Settings that cost time."""


def speeds(store: Store) -> dict[tuple[str, ...], float]:
    """Median wall seconds of stored runs by the settings that cost time."""
    runs = store.read("runs", [*SETTINGS, "wall_seconds"])
    runs = runs[runs["wall_seconds"].notna()]
    seconds: dict[tuple[str, ...], list[float]] = {}
    for *key, spent in runs.itertuples(index=False):
        seconds.setdefault(tuple(map(_text, key)), []).append(spent)
    return {key: median(values) for key, values in seconds.items()}


def expected_seconds(run: Run, known: Mapping[tuple[str, ...], float], otherwise: float) -> float:
    """Expected wall seconds of a run, or `otherwise` where nothing like it was run."""
    return known.get(tuple(_text(getattr(run, name)) for name in SETTINGS), otherwise)


def _text(value: object) -> str:
    """A setting as a row of `runs` holds it; a missing one comes back from pandas as None or not a number."""
    if isinstance(value, Mapping):
        return json.dumps(dict(value), sort_keys=True)
    return "" if value is None or value != value else str(value)  # noqa: PLR0124  # not a number is not itself
