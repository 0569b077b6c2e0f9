"""Rounds of trials, one of every model: written as a suite, run and stored as any, and read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentbench.engine import Limits
from latentbench.files import write_atomically
from latentbench.results.store import Store
from latentbench.runner import Selection, planned, run_suite
from latentbench.suites.expand import Changes
from latentbench.suites.launch import Launch
from latentbench.suites.plan import Plan
from latentbench.suites.run_state import Kind, RunState
from latentbench.suites.settings import digest
from latentbench.suites.suite import Suite
from latentbench.suites.tune import Tuning
from latentbench.suites.yaml_source import yaml_text
from latentbench.tuning.models import Model
from latentbench.tuning.told_apart import runs_of
from latentbench.tuning.trials import values
from latentbench.tuning.written import round_data

UNFINISHED = (Kind.MISSING, Kind.INTERRUPTED, Kind.UNEVALUATED)
"""States of runs that are neither done nor failed; so are stale ones that lack an evaluation."""


@dataclass(frozen=True)
class Execution:
    """How the runs of trials are executed: the arguments of `run_suite` that are not about one round."""

    launch: Launch
    changes: Changes
    selection: Selection
    limits: Limits
    command: Sequence[str]
    plugins: Sequence[Path]


@dataclass(frozen=True)
class Round:
    """The value of every model's trial, None where it failed, and how many of the runs are neither done nor failed."""

    values: Sequence[float | None]
    left: int


@dataclass(frozen=True)
class Rounds:
    """The rounds of a suite, in a results folder of their own.

    Args:
        suite: what is tuned.
        tuning: its section `tune`.
        models: its models.
        evaluation_id: the evaluation that measures the metric.
        folder: where the rounds and their runs are stored.
        execution: how the runs are executed.
        tell: told what the user should know.
    """

    suite: Suite
    tuning: Tuning
    models: Sequence[Model]
    evaluation_id: str
    folder: Path
    execution: Execution
    tell: Callable[[str], None]

    def run(self, number: int, settings: Sequence[Mapping[str, Any]]) -> Round:
        """Run what is not stored yet of one round, in which every model is tried with some settings."""
        data = round_data(self.suite.source.data, number, self.tuning.seeds, list(zip(self.models, settings, strict=True)))
        path = self.folder / f"round-{number:03}-{digest(data)}.yaml"  # so that others, with other models or trials, write no file of this name
        write_atomically(path, yaml_text(data).encode())
        how, plan = self.execution, self._planned(path)
        if any(how.selection.job(item) is not None for item in plan.runs):
            run_suite(path, self.folder, how.launch, how.changes, how.selection, how.limits, how.command, how.plugins)
            plan = self._planned(path)
        elif stale := sum(item.state.kind is Kind.STALE for item in plan.runs):
            self.tell(f"{stale} stored runs of it are stale: their code has changed since; --refresh stale runs them again")
        ids = [[item.run.id for item in runs] for runs in runs_of(self.models, self.tuning.models, plan.runs)]
        return Round(values(ids, Store(self.folder), self.tuning, self.evaluation_id), sum(unfinished(item.state) for item in plan.runs))

    def _planned(self, path: Path) -> Plan:
        return planned(path, self.folder, self.execution.launch, self.execution.changes, self.execution.plugins)[0]


def unfinished(state: RunState) -> bool:
    """Whether a run is neither done nor failed: what it lacks is no failure of its trial."""
    return state.kind in UNFINISHED or (state.kind is Kind.STALE and bool(state.lacking))
