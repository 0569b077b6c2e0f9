"""The states of planned runs, from what a results folder has of them and the code that made it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import Any

from latentbench.errors import failure_line
from latentbench.imported import Sources
from latentbench.part import Assembly
from latentbench.registry import Registry
from latentbench.results.provenance import changed, evaluation_sources, training_sources
from latentbench.results.state_code import other_code_in
from latentbench.results.store import EVALUATION_FAILED, Store, revision
from latentbench.suites.plan import Plan, Planned

MAX_FILES_SHOWN = 4
"""How many of the source files that have changed a message names."""


def with_states(plan: Plan, store: Store, registry: Registry) -> Plan:
    """The plan with the state of every run in `store`."""
    rows, evaluated, measured_by = store.run_states(), store.evaluated(), store.evaluation_sources()
    code = _Code(registry)
    saved = store.saved_states()
    runs = []
    for planned in plan.runs:
        run_id, item = planned.run.id, planned
        if run_id in rows:
            item = _with_state(item, rows[run_id], evaluated.get(run_id, set()), measured_by.get(run_id, {}), code)
        elif run_id in saved:
            files = other_code_in(store.state_path(run_id), code.training(item.assembly))
            item = replace(item, why="interrupted" + (f"; starts anew: its state was made by other code, {_listed(files)} changed" if files else ""))
        runs.append(item)
    return replace(plan, runs=tuple(runs))


def with_sources(plan: Plan, registry: Registry) -> Plan:
    """The plan with the code that this process has for every run, which who executes it must have too."""
    code = _Code(registry)
    return replace(plan, runs=tuple(replace(item, sources=code.of(item)) for item in plan.runs))


class _Code:
    """The sources that this process has of runs and evaluations, each looked up once."""

    def __init__(self, registry: Registry) -> None:
        self.training = cache(training_sources)
        self.evaluation = cache(lambda name: evaluation_sources(registry.evaluation(name)))
        self.joined = cache(self._joined)
        self.stored: Callable[[str], Sources] = cache(json.loads)

    def of(self, item: Planned) -> Sources:
        """The sources of a run and its evaluations."""
        return self.joined(item.assembly, tuple(e.name for e in item.evaluations))

    def _joined(self, assembly: Assembly, names: tuple[str, ...]) -> Sources:
        return {name: digest for part in names for name, digest in self.evaluation(part).items()} | dict(self.training(assembly))


def _with_state(item: Planned, row: Mapping[str, Any], evaluated: set[str], measured_by: Mapping[str, str], code: _Code) -> Planned:
    """A planned run with its state, from its row, the ids of its evaluations, and, as JSON, the sources that measured them."""

    def since(text: Any, now: Sources) -> list[str]:
        return changed(code.stored(text), now) if isinstance(text, str) else []  # a missing text comes back from pandas as NaN

    lacking = tuple(e for e in item.evaluations if e.id not in evaluated)
    trained = row["status"] == "done"
    model = since(row["sources"], code.training(item.assembly)) if trained else []
    measured = {e.id: since(measured_by.get(e.id, row["sources"]), code.evaluation(e.name)) for e in item.evaluations if e not in lacking}
    outdated = tuple(e for e in item.evaluations if measured.get(e.id))
    item = replace(item, revision=revision(row, evaluated), trained=trained, other_code=bool(model), lacking=lacking, outdated=outdated)
    without = [f"without {', '.join(map(str, lacking))}"] * bool(lacking)
    stale = [f"changed since: {_listed(sorted({*model, *chain(*measured.values())}))}"] * bool(model or outdated)
    if not trained or (row["failure_kind"] == EVALUATION_FAILED and lacking):
        why = failure_line(row["failure_kind"], str(row["failure_message"]))
        return replace(item, state="failed", why="; ".join([why, *stale]), failure_kind=row["failure_kind"])
    state = "stale" if model or (outdated and not lacking) else "unevaluated" if lacking else "done"
    return replace(item, state=state, why="; ".join([*stale, *without] if state == "stale" else [*without, *stale]))


def _listed(files: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(files[:MAX_FILES_SHOWN]) + (f" and {len(files) - MAX_FILES_SHOWN} more" if len(files) > MAX_FILES_SHOWN else "")
