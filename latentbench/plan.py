"""The plan of a suite: every run it asks for, with its id and its state. Planning trains nothing and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from latentbench.errors import MissingPluginError, UserError, explain_problem
from latentbench.evaluation import Evaluation
from latentbench.job import EvaluationPlan
from latentbench.neutral import without_neutral
from latentbench.part import Assembly, Options
from latentbench.provenance import Sources, changed, evaluation_sources, sources_of, training_sources
from latentbench.registry import Registry
from latentbench.resolve import InapplicableError, Resolved, resolve, unread_message
from latentbench.settings import Run, digest
from latentbench.state_code import other_code_in
from latentbench.store import EVALUATION_FAILED, Store, revision
from latentbench.suite import NESTED, EvaluationSpec, Leaderboard, Suite, Sweep, check_key

MAX_FILES_SHOWN = 4
"""How many of the source files that have changed a message names."""


@dataclass(frozen=True)
class Changes:
    """What the command line changes of a suite's runs. `seeds` None leaves the suite's. `only` selects by the settings of resolved runs."""

    sets: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    scale: float = 1.0
    limit_data: float | None = None
    seeds: Sequence[int] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The dotted settings that replace a sweep's own."""
        limit = {} if self.limit_data is None else {"limit_data": self.limit_data}
        seeds = {} if self.seeds is None else {"seed": list(self.seeds)}
        return {**self.sets, **limit, **seeds}


@dataclass(frozen=True)
class Planned:
    """A run that can be trained, the evaluations that it needs, and what the store has of it.

    `state` is `done`, `failed`, `missing`, `stale` (its code has changed since) or `unevaluated` (trained, but an evaluation is missing); `why` says
    more. `trained` says that there is a model, `other_code` that it was trained by other code than there is now. `lacking` are the evaluations that
    are missing, `outdated` those that were measured by other code. `sources` is the code that there is now, `revision` which state of the store this
    was.
    """

    run: Run
    assembly: Assembly
    evaluations: tuple[EvaluationPlan, ...]
    state: str = "missing"
    why: str = ""
    trained: bool = False
    other_code: bool = False
    lacking: tuple[EvaluationPlan, ...] = ()
    outdated: tuple[EvaluationPlan, ...] = ()
    failure_kind: str | None = None
    revision: str | None = None
    sources: Sources = field(default_factory=dict)


@dataclass(frozen=True)
class Unplanned:
    """A combination that is not trained. `missing_plugin` tells a plugin that could not be loaded from parts that do not go together."""

    settings: Mapping[str, Any]
    reason: str
    missing_plugin: bool = False

    @property
    def id(self) -> str:
        """An id for the row of failure."""
        return digest({"unplanned": {key: str(value) for key, value in self.settings.items()}})


@dataclass(frozen=True)
class Plan:
    """All runs of a suite, each once, in the suite's order."""

    name: str
    runs: tuple[Planned, ...]
    inapplicable: tuple[Unplanned, ...]
    blocked: tuple[Unplanned, ...]
    leaderboard: Leaderboard | None
    description: str = ""
    expect: tuple[str, ...] = ()

    @property
    def models(self) -> int:
        """How many runs there are that differ in more than their seed."""
        return len({digest(item.run.model_dump(exclude_none=True, exclude={"seed", "protocol"})) for item in self.runs})


def make_plan(suite: Suite, registry: Registry, device: str, changes: Changes = Changes()) -> Plan:
    """Every distinct run of the suite, not yet compared with a store.

    Raises:
        UserError: a name, value or setting of the suite or of `changes` is wrong, or nothing is left to run.
    """
    for key in changes.sets:
        _checked(key, "--set")
    for key in changes.only:
        _checked(key, "--only")
    runs: dict[str, Planned] = {}
    unplanned: dict[str, Unplanned] = {}
    read_of: dict[Path, set[str]] = {}
    read_sets: set[str] = set()
    for sweep in suite.sweeps:
        resolved, left_out, read = _resolve_sweep(sweep, registry, device, changes)
        read_of.setdefault(sweep.file, set()).update(read)
        unplanned.update({u.id: u for u in left_out})
        for item in resolved:
            read_sets |= item.read & changes.sets.keys()
        try:
            asked = [_evaluation(spec, registry) for spec in sweep.evaluations]
        except MissingPluginError as error:
            lost = [Unplanned(item.run.model_dump(mode="json"), str(error), missing_plugin=True) for item in resolved]
            unplanned.update({u.id: u for u in lost})
            continue
        for item in resolved:
            evaluations = [e.plan for e in asked if e.part.inapplicable(item.assembly, e.options) is None]
            known = runs.get(item.run.id)
            merged = tuple({e.id: e for e in (*(known.evaluations if known else ()), *evaluations)}.values())
            runs[item.run.id] = Planned(item.run, item.assembly, merged)
    for sweep in suite.sweeps:
        lengths = {"training.steps", "training.epochs"}  # a sweep may replace one by the other
        _check_read(sweep, sweep.defaults - read_of[sweep.file] - lengths, registry, changes)
    blocked = tuple(u for u in unplanned.values() if u.missing_plugin)
    inapplicable = tuple(u for u in unplanned.values() if not u.missing_plugin)
    if not runs and not unplanned:
        raise UserError(f"no run is left of suite '{suite.name}': {_no_match(suite, registry, device, changes)}")
    for key in changes.sets.keys() - read_sets:
        if runs:
            raise UserError(f"--set {key}: {unread_message(key, registry).replace('of the sweep', 'of the suite')}")
    return Plan(suite.name, tuple(runs.values()), inapplicable, blocked, suite.leaderboard, suite.description, suite.expect)


def with_states(plan: Plan, store: Store, registry: Registry) -> Plan:
    """The plan with the state of every run in `store`."""
    rows, evaluated, measured_by = store.run_states(), store.evaluated(), store.evaluation_sources()
    code = _Code(registry)
    saved = store.saved_states()
    runs = []
    for planned in plan.runs:
        run_id = planned.run.id
        item = replace(planned, sources=code.of(planned))
        if run_id in rows:
            item = _with_state(item, rows[run_id], evaluated.get(run_id, set()), measured_by.get(run_id, {}), code)
        elif run_id in saved:
            files = other_code_in(store.state_path(run_id), code.training(item.assembly))
            item = replace(item, why="interrupted" + (f"; starts anew: its state was made by other code, {_listed(files)} changed" if files else ""))
        runs.append(item)
    return replace(plan, runs=tuple(runs))


class _Code:
    """The sources that this process has of runs and evaluations, each looked up once."""

    def __init__(self, registry: Registry) -> None:
        self.training = cache(training_sources)
        self.evaluation = cache(lambda name: evaluation_sources(registry.evaluation(name)))
        self.both = cache(lambda assembly, names: sources_of(assembly, [registry.evaluation(name) for name in names]))
        self.stored: Callable[[str], Sources] = cache(json.loads)

    def of(self, item: Planned) -> Sources:
        """The sources of a run and its evaluations."""
        return self.both(item.assembly, tuple(e.name for e in item.evaluations))


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
        why = f"{row['failure_kind']}: {str(row['failure_message']).strip().splitlines()[-1]}"
        return replace(item, state="failed", why="; ".join([why, *stale]), failure_kind=row["failure_kind"])
    state = "stale" if model or (outdated and not lacking) else "unevaluated" if lacking else "done"
    return replace(item, state=state, why="; ".join([*stale, *without] if state == "stale" else [*without, *stale]))


def _listed(files: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(files[:MAX_FILES_SHOWN]) + (f" and {len(files) - MAX_FILES_SHOWN} more" if len(files) > MAX_FILES_SHOWN else "")


def _resolve_sweep(sweep: Sweep, registry: Registry, device: str, changes: Changes) -> tuple[list[Resolved], list[Unplanned], set[str]]:
    """The runs of a sweep that `--only` selects, its combinations that cannot be trained, and the settings that any of its runs reads.

    The sweep is checked whole, whatever is selected.
    """
    resolved: list[Resolved] = []
    unplanned: list[Unplanned] = []
    served: set[tuple[str, Any]] = set()
    refused: dict[tuple[str, Any], str] = {}
    read: set[str] = set()
    for point in sweep.points(changes.settings):
        try:
            item = resolve(point, registry, device, changes.scale)
        except InapplicableError as error:
            refused.setdefault((error.part, point.get(error.part)), str(error))
            unplanned += [Unplanned(point, str(error))] * _selected(point, changes)
            continue
        except MissingPluginError as error:
            unplanned += [Unplanned(point, str(error), missing_plugin=True)] * _selected(point, changes)
            read |= sweep.explicit | sweep.defaults  # nobody knows what the missing part would read
            continue
        except UserError as error:
            key = str(error).partition(":")[0]
            raise UserError(f"{sweep.where(key)}: {error}") from error
        resolved += [item] * _selected({**point, **dotted(item.run)}, changes)
        read |= item.read
        served |= {(part, point.get(part)) for part in ("family", "estimator", "likelihood", "encoder", "decoder")}
    for (part, value), reason in refused.items():
        if (part, value) not in served:
            raise UserError(f"{sweep.where(part)}: {reason}; no run of the sweep can use it")
    _check_read(sweep, sweep.explicit - read, registry, changes)
    return resolved, unplanned, read


def _check_read(sweep: Sweep, unread: Iterable[str], registry: Registry, changes: Changes) -> None:
    """Refuse settings that nothing reads; where the command line changes settings, those that nothing could read."""
    for key in sorted(set(unread) - changes.settings.keys()):
        message = unread_message(key, registry)
        if not changes.settings or message.startswith("unknown"):
            raise UserError(f"{sweep.where(key)}: {message}")


def _selected(settings: Mapping[str, Any], changes: Changes) -> bool:
    return all(str(settings.get(key)) in map(str, values) for key, values in changes.only.items())


def dotted(run: Run) -> dict[str, Any]:
    """A run's settings with dotted keys."""
    dumped = run.model_dump(exclude_none=True)
    nested = {f"{outer}.{inner}": value for outer in NESTED for inner, value in dumped[outer].items()}
    return {**{key: value for key, value in dumped.items() if key not in NESTED}, **nested}


@dataclass(frozen=True)
class _Applicable:
    """An evaluation with its options, which says where it applies."""

    part: type[Evaluation]
    options: Options
    plan: EvaluationPlan


def _evaluation(spec: EvaluationSpec, registry: Registry) -> _Applicable:
    try:
        part = registry.evaluation(spec.name)
        options = part.options_model.model_validate(dict(spec.options))
    except UserError as error:
        raise type(error)(f"{spec.where}: {error}") from error
    except ValidationError as error:
        raise UserError(f"{spec.where}: evaluation '{spec.name}': {explain_problem(error.errors()[0], part.options_model.model_fields)}") from error
    chosen = without_neutral(part.options_model, options.model_dump(mode="json"))
    return _Applicable(part, options, EvaluationPlan(spec.name, chosen, part.version, _title(spec.name, options)))


def _title(name: str, options: Options) -> str:
    """An evaluation as people name it: with those of its options that are not at their defaults."""
    chosen = options.model_dump(mode="json", exclude_defaults=True)
    return f"{name}({', '.join(f'{key}={value}' for key, value in chosen.items())})" if chosen else name


def _checked(key: str, flag: str) -> None:
    try:
        check_key(key)
    except UserError as error:
        raise UserError(f"{flag} {key}: {error}") from error


def _no_match(suite: Suite, registry: Registry, device: str, changes: Changes) -> str:
    everything = make_plan(suite, registry, device, replace(changes, only={}))
    for key, values in changes.only.items():
        found = sorted({str(dotted(item.run).get(key)) for item in everything.runs})
        if not set(map(str, values)) & set(found):
            return f"--only {key}={','.join(map(str, values))}, and the suite has {key}: {', '.join(found)}"
    return "no run matches every --only"
