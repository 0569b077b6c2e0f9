"""How fast the models of a suite train, by their stored runs, and the lengths that take each of them the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from latentbench.errors import UserError
from latentbench.registry import Registry
from latentbench.results.arrow import records
from latentbench.results.store import Store
from latentbench.suites.labels import dotted
from latentbench.suites.plan import Planned
from latentbench.suites.resolve import resolve
from latentbench.suites.run_state import Kind
from latentbench.tuning.told_apart import Found, Named

TIMED = ["run_id", "steps", "device_seconds", "device_name", "threads"]
"""What is read of every run: its steps, their seconds, and where they were measured."""


@dataclass(frozen=True)
class Pace:
    """The stored runs of a model: how many, the steps of one, the median of their `device_seconds`, and the device, in words."""

    runs: int
    steps: int
    seconds: float
    device: str

    @property
    def seconds_a_step(self) -> float:
        """Seconds of one step."""
        return self.seconds / self.steps


@dataclass(frozen=True)
class Paced:
    """A model, how fast its runs were, how many times as long they become, and by the number of a sweep the settings that make them so."""

    model: Named
    pace: Pace
    factor: float
    lengths: Mapping[int, Mapping[str, Any]]

    @property
    def steps(self) -> int:
        """The steps of a run that is so long."""
        return ceil(self.factor * self.pace.steps)


def paces(models: Sequence[Named], runs: Sequence[Sequence[Planned]], store: Store) -> list[Pace]:
    """How fast every model is, of which `runs` has the runs of a plan.

    Raises:
        UserError: no run of a model is done and timed, its runs have several lengths, or not all were timed on one device.
    """
    rows = {str(row["run_id"]): row for row in records(store.rows("runs", TIMED))}
    found = [_pace(model, planned, rows, store.path) for model, planned in zip(models, runs, strict=True)]
    for model, pace in zip(models, found, strict=True):
        if pace.device != found[0].device:
            raise UserError(_of_several_devices(f"{models[0]} was timed on {found[0].device}, and {model} on {pace.device}"))
    return found


def paced(model: Named, found: Sequence[Found], pace: Pace, seconds: float, registry: Registry, device: str) -> Paced:
    """A model whose runs, those `found` in the suite, take some seconds.

    Raises:
        UserError: that is less than a step, or its runs in one sweep would have several lengths.
    """
    factor = seconds / pace.seconds
    if factor * pace.steps < 1:
        raise UserError(f"{seconds:g} s are less than a step of {model}, which takes {pace.seconds_a_step:.3g} s")
    lengths: dict[int, Mapping[str, Any]] = {}
    for one in found:
        changed = _durations(one, factor, registry, device)
        if lengths.setdefault(one.sweep, changed) != changed:
            raise UserError(_of_several_lengths(model, "schedules"))
    return Paced(model, pace, factor, lengths)


def _pace(model: Named, runs: Sequence[Planned], rows: Mapping[str, Mapping[str, Any]], folder: Path) -> Pace:
    done = [rows[item.run.id] for item in runs if item.state.kind is Kind.DONE]
    timed = [row for row in done if row["device_seconds"]]
    if not timed:
        states = "not timed" if done else ", ".join(sorted({str(item.state.kind) for item in runs}))
        raise UserError(f"results folder {folder}: the pace of {model} is unknown, as its runs are {states}; `latentbench run` runs them")
    devices = sorted({f"{row['device_name']} ({row['threads']} threads)" for row in timed})
    if len(devices) > 1:
        raise UserError(_of_several_devices(f"runs of {model} were timed on {' and on '.join(devices)}"))
    steps = {row["steps"] for row in timed}
    if len(steps) > 1:
        raise UserError(_of_several_lengths(model, f"{', '.join(map(str, sorted(steps)))} steps"))
    return Pace(len(timed), steps.pop(), median(row["device_seconds"] for row in timed), devices[0])


def _of_several_devices(found: str) -> str:
    return f"{found}: seconds of one are not those of the other; run all on one"


def _of_several_lengths(model: Named, found: str) -> str:
    return f"runs of {model} have different lengths ({found}): name what tells them apart in the leaderboard's rows or columns"


def _durations(found: Found, factor: float, registry: Registry, device: str) -> dict[str, Any]:
    """The durations of a run that is `factor` times as long, as a suite has them."""
    now = dotted(found.resolved.run)
    then = dotted(resolve(found.point, registry, device, factor).run)
    return {key: value for key, value in then.items() if now.get(key) != value}
