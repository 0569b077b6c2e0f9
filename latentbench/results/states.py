"""The states of runs, from what a results folder has of them and the code that made it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from latentbench.failure import Failure
from latentbench.imported import Sources
from latentbench.results.provenance import changed, evaluation_sources, training_sources
from latentbench.results.snapshot import Snapshot
from latentbench.results.state_code import other_code_in
from latentbench.results.store import revision
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.run_state import MISSING, Kind, RunState

if TYPE_CHECKING:  # torch comes with them, and who only reads rows does without
    from latentbench.part import Assembly, Part
    from latentbench.registry import Registry
    from latentbench.suites.plan import Plan, Planned

MAX_FILES_SHOWN = 4
"""How many of the source files that have changed a message names."""


def run_state(
    row: Mapping[str, Any] | None,
    evaluated: Collection[str],
    asked: Sequence[EvaluationPlan] = (),
    model: Sequence[str] = (),
    measured: Mapping[str, Sequence[str]] | None = None,
) -> RunState:
    """What the store has of a run, compared with what is asked for.

    Args:
        row: its outcome, the columns `STATE`; None where it has no row.
        evaluated: the ids of its evaluations that are there.
        asked: the evaluations that it should have.
        model: the source files that have changed since it was trained.
        measured: evaluation id -> the source files that have changed since it was measured.
    """
    if row is None:
        return MISSING
    failure, trained = Failure.from_row(row), row["status"] == "done"
    lacking = tuple(e for e in asked if e.id not in evaluated)
    outdated = tuple(e for e in asked if measured and measured.get(e.id))
    without = [f"without {', '.join(map(str, lacking))}"] * bool(lacking)
    stale = [f"changed since: {_listed(sorted({*model, *chain(*(measured or {}).values())}))}"] * bool(model or outdated)
    if not trained or (failure is not None and lacking):
        kind, reasons = Kind.FAILED, [*([str(failure)] if failure else []), *stale]
    elif model or (outdated and not lacking):
        kind, reasons = Kind.STALE, [*stale, *without]
    else:
        kind, reasons = Kind.UNEVALUATED if lacking else Kind.DONE, [*without, *stale]
    changed = ({"training": tuple(model)} if model else {}) | {f"evaluation {e}": tuple((measured or {})[e.id]) for e in outdated}
    return RunState(kind, tuple(reasons), failure, trained, bool(model), lacking, outdated, changed, revision(row, evaluated))


def with_states(plan: Plan, snapshot: Snapshot, registry: Registry) -> Plan:
    """The plan with the state of every run in a results folder."""
    code = _Code(registry)
    return replace(plan, runs=tuple(replace(item, state=_state_of(item, snapshot, code)) for item in plan.runs))


def with_sources(plan: Plan, registry: Registry) -> Plan:
    """The plan with the code that this process has for every run, which who executes it must have too."""
    code = _Code(registry)
    return replace(plan, runs=tuple(replace(item, sources=code.of(item)) for item in plan.runs))


class _Code:
    """The sources that this process has of runs and evaluations, each looked up once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.training = cache(training_sources)
        self.of_parts = cache(evaluation_sources)
        self.joined = cache(self._joined)
        self.stored: Callable[[str], Sources] = cache(json.loads)

    def of(self, item: Planned) -> Sources:
        """The sources of a run and its evaluations."""
        return self.joined(item.assembly, tuple(e.parts(self.registry) for e in item.evaluations))

    def evaluation(self, evaluation: EvaluationPlan) -> Sources:
        """The sources of an evaluation and of the parts that it builds."""
        return self.of_parts(evaluation.parts(self.registry))

    def changed(self, since: str | None, now: Sources) -> list[str]:
        """The files that have changed since sources were stored, as JSON."""
        return [] if since is None else changed(self.stored(since), now)

    def _joined(self, assembly: Assembly, evaluations: tuple[tuple[type[Part], ...], ...]) -> Sources:
        return {name: digest for parts in evaluations for name, digest in self.of_parts(parts).items()} | self.training(assembly)


def _state_of(item: Planned, snapshot: Snapshot, code: _Code) -> RunState:
    """The state of a planned run."""
    run_id = item.run.id
    row, there = snapshot.rows.get(run_id), snapshot.evaluated.get(run_id, set())
    if run_id in snapshot.saved and row is None:
        files = other_code_in(snapshot.store.state_path(run_id), code.training(item.assembly))
        reasons = (f"starts anew: its state was made by other code, {_listed(files)} changed",) if files else ()
        return RunState(Kind.INTERRUPTED, reasons, changed={"saved state": tuple(files)} if files else {})
    if row is None:
        return MISSING
    model = code.changed(row["sources"], code.training(item.assembly)) if row["status"] == "done" else []
    since = {e.id: snapshot.measured_by.get((run_id, e.id), row["sources"]) for e in item.evaluations}
    measured = {e.id: code.changed(since[e.id], code.evaluation(e)) for e in item.evaluations if e.id in there}
    return run_state(row, there, item.evaluations, model, measured)


def _listed(files: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(files[:MAX_FILES_SHOWN]) + (f" and {len(files) - MAX_FILES_SHOWN} more" if len(files) > MAX_FILES_SHOWN else "")
