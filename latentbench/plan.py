"""The plan of a suite: every run it asks for, with its id and its state. Planning trains nothing and writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from latentbench.errors import MissingPluginError, UserError, explain_problem, failure_line
from latentbench.evaluation import Evaluation
from latentbench.job import EvaluationPlan
from latentbench.part import Assembly, Options
from latentbench.provenance import changed_sources
from latentbench.registry import Registry
from latentbench.resolve import InapplicableError, Resolved, resolve, unread_message
from latentbench.settings import Run, digest
from latentbench.store import EVALUATION_FAILED, Store, revision
from latentbench.suite import NESTED, EvaluationSpec, Leaderboard, Suite, Sweep, check_key


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

    `state` is `done`, `failed`, `missing`, `stale` (a plugin's source has changed since) or `unevaluated` (trained, but an evaluation is missing);
    `why` says more, `trained` that the stored model serves, `revision` which state of the store this was. `unmeasured` has the evaluations that were
    asked for and do not apply to the run: id -> name and reason.
    """

    run: Run
    assembly: Assembly
    evaluations: tuple[EvaluationPlan, ...]
    unmeasured: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    state: str = "missing"
    why: str = ""
    trained: bool = False
    failure_kind: str | None = None
    revision: str | None = None


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

    @property
    def unmeasured(self) -> list[str]:
        """The evaluations that were asked for and do not apply, a line for each and its reason, with how many runs it is left out of."""
        counts = Counter(left_out for item in self.runs for left_out in item.unmeasured.values())
        return [f"evaluation {name} of {n} runs: {reason}" for (name, reason), n in counts.items()]


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
            reasons = {e.plan.id: (e.plan.name, reason) for e in asked if (reason := e.part.inapplicable(item.assembly, e.options)) is not None}
            evaluations = [e.plan for e in asked if e.plan.id not in reasons]
            known = runs.get(item.run.id, Planned(item.run, item.assembly, ()))
            merged = tuple({e.id: e for e in (*known.evaluations, *evaluations)}.values())
            runs[item.run.id] = Planned(item.run, item.assembly, merged, {**known.unmeasured, **reasons})
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
    rows = store.run_states()
    evaluated = store.evaluated()
    runs = [with_state(item, rows.get(item.run.id), evaluated.get(item.run.id, set()), registry) for item in plan.runs]
    saved = {path.stem for path in (store.path / "states").glob("*.safetensors")}
    return replace(plan, runs=tuple(replace(i, why="interrupted") if i.state == "missing" and i.run.id in saved else i for i in runs))


def with_state(item: Planned, row: Mapping[str, Any] | None, evaluated: set[str], registry: Registry) -> Planned:
    """A planned run with its state, from its row and the ids of its evaluations."""
    if row is None:
        return item
    item = replace(item, revision=revision(row, evaluated))
    lacking = [e.name for e in item.evaluations if e.id not in evaluated]
    if row["status"] == "failed" or (row["failure_kind"] == EVALUATION_FAILED and lacking):
        why = failure_line(row["failure_kind"], str(row["failure_message"]))
        return replace(item, state="failed", why=why, trained=row["status"] == "done", failure_kind=row["failure_kind"])
    changed = changed_sources(row["sources"], item.assembly, [e.name for e in item.evaluations], registry)
    if changed:
        only_evaluations = not changed_sources(row["sources"], item.assembly, [], registry)
        return replace(item, state="stale", why=f"changed since: {', '.join(changed)}", trained=only_evaluations)
    if lacking:
        return replace(item, state="unevaluated", why=f"without {', '.join(lacking)}", trained=True)
    return replace(item, state="done", trained=True)


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
    return _Applicable(part, options, EvaluationPlan(spec.name, options.model_dump(mode="json"), part.version))


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
