"""Suites that tuning writes: one for every round of trials, the tuned one at the end, and one in which every model trains for the same time."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from latentbench.files import write_atomically
from latentbench.reporting.text import plain
from latentbench.suites.fields import MAX_NAME
from latentbench.suites.yaml_source import yaml_text
from latentbench.tuning.models import Model
from latentbench.tuning.told_apart import Named

MADE = "# Made by: latentbench"
"""How the suites begin that commands write, and that they may replace."""
OF_THE_REPORT = ("tune", "leaderboard", "expect", "verify", "keep_checkpoints", "description")
"""What a suite says that trials have no use for."""

Tried = Sequence[tuple[Model, Mapping[str, Any]]]
"""Models, and the settings of each that are tried."""
Changed = Sequence[tuple[Named, Callable[[int], Mapping[str, Any]]]]
"""Models, and what is set of each in a sweep, given by its number."""


def write_suite(out: Path, data: Mapping[str, Any], about: Iterable[str], command: Sequence[str]) -> None:
    """Write a suite that begins with a comment: the command that made it, and lines about it."""
    made = " ".join((MADE, plain(shlex.join(command[1:])) if command else "from Python"))
    write_atomically(out, "\n".join((made, *(f"# {line}" for line in about), yaml_text(data))).encode())


def round_data(suite: Mapping[str, Any], number: int, seeds: Sequence[int], tried: Tried) -> dict[str, Any]:
    """A suite of the trials of one round: the runs of `suite`, on the seeds of tuning, measured as its section `tune` says."""
    kept = {key: value for key, value in suite.items() if key not in OF_THE_REPORT}
    changed = {"name": _renamed(suite, f", tuning {number}"), "seeds": list(seeds), "evaluations": suite["tune"]["evaluations"]}
    return {**kept, **changed, "sweeps": _with_overrides(suite["sweeps"], _read(tried))}


def tuned_data(suite: Mapping[str, Any], found: Tried) -> dict[str, Any]:
    """The suite itself, with the settings that were found for each model."""
    kept = {key: value for key, value in suite.items() if key != "tune"}
    return {**kept, "sweeps": _with_overrides(suite["sweeps"], _read(found))}


def paced_data(suite: Mapping[str, Any], seconds: float, lengths: Changed) -> dict[str, Any]:
    """The suite itself, with lengths for each model that take it some seconds."""
    return {**suite, "name": _renamed(suite, f", {seconds:g} s"), "sweeps": _with_overrides(suite["sweeps"], lengths)}


def _renamed(suite: Mapping[str, Any], ending: str) -> str:
    return str(suite["name"])[: MAX_NAME - len(ending)] + ending


def _read(tried: Tried) -> Changed:
    """Those settings of each model that its runs in a sweep read."""

    def reader(model: Model, settings: Mapping[str, Any]) -> Callable[[int], Mapping[str, Any]]:
        return lambda sweep: model.read(sweep, settings)

    return [(model, reader(model, settings)) for model, settings in tried]


def _with_overrides(sweeps: Sequence[Mapping[str, Any]], changed: Changed) -> list[dict[str, Any]]:
    """Sweeps with overrides after their own, which win over those before them."""
    added = [_overrides(number, changed) for number in range(len(sweeps))]
    return [{**sweep, **({"overrides": [*sweep.get("overrides", ()), *new]} if new else {})} for sweep, new in zip(sweeps, added, strict=True)]


def _overrides(sweep: int, changed: Changed) -> list[dict[str, Any]]:
    found = [(model, settings_in(sweep)) for model, settings_in in changed if sweep in model.matches]
    return [{"match": dict(match), "set": dict(settings)} for model, settings in found if settings for match in model.matches[sweep]]
