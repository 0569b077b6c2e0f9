"""Suites that tuning writes: one for every round of trials, and the tuned one at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latentbench.suites.fields import MAX_NAME
from latentbench.tuning.models import Model

OF_THE_REPORT = ("tune", "leaderboard", "expect", "verify", "keep_checkpoints", "description")
"""What a suite says that trials have no use for."""

Tried = Sequence[tuple[Model, Mapping[str, Any]]]
"""Models, and the settings of each that are tried."""


def round_data(suite: Mapping[str, Any], number: int, seeds: Sequence[int], tried: Tried) -> dict[str, Any]:
    """A suite of the trials of one round: the runs of `suite`, on the seeds of tuning, measured as its section `tune` says."""
    kept = {key: value for key, value in suite.items() if key not in OF_THE_REPORT}
    ending = f", tuning {number}"
    changed = {"name": suite["name"][: MAX_NAME - len(ending)] + ending, "seeds": list(seeds), "evaluations": suite["tune"]["evaluations"]}
    return {**kept, **changed, "sweeps": _with_overrides(suite["sweeps"], tried)}


def tuned_data(suite: Mapping[str, Any], found: Tried) -> dict[str, Any]:
    """The suite itself, with the settings that were found for each model."""
    kept = {key: value for key, value in suite.items() if key != "tune"}
    return {**kept, "sweeps": _with_overrides(suite["sweeps"], found)}


def _with_overrides(sweeps: Sequence[Mapping[str, Any]], tried: Tried) -> list[dict[str, Any]]:
    """Sweeps with overrides after their own, which win over those before them."""
    added = [_overrides(number, tried) for number in range(len(sweeps))]
    return [{**sweep, **({"overrides": [*sweep.get("overrides", ()), *new]} if new else {})} for sweep, new in zip(sweeps, added, strict=True)]


def _overrides(sweep: int, tried: Tried) -> list[dict[str, Any]]:
    """The overrides of one sweep: those settings of each model that its runs there read."""
    read = [(model, model.read(sweep, settings)) for model, settings in tried]
    return [{"match": dict(match), "set": settings} for model, settings in read if settings for match in model.matches[sweep]]
