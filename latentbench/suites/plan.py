"""The plan of a suite: every run it asks for, with its id and its state. Planning trains nothing and writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from latentbench.errors import MissingPluginError, UserError, flagged, nearest, shortened
from latentbench.imported import Sources
from latentbench.numbers import same
from latentbench.part import Assembly
from latentbench.registry import Registry
from latentbench.suites.asked_evaluation import asked_for
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.expand import NO_CHANGES, Changes, Expanded, Item, Unplanned, check_read, expand, selected
from latentbench.suites.labels import joined, varying
from latentbench.suites.leaderboard import check_leaderboard
from latentbench.suites.resolve import Resolved, unknown_option
from latentbench.suites.run_state import MISSING, RunState
from latentbench.suites.settings import Run, digest
from latentbench.suites.suite import Leaderboard, Suite
from latentbench.suites.sweep import check_key
from latentbench.suites.tune_checks import check_tuning


@dataclass(frozen=True)
class Planned:
    """A run that can be trained, the evaluations that it needs, and what the store has of it.

    `sources` is the code that there is now. `varying` has the settings that tell the run from others of the suite (`latentbench.suites.labels`).
    `unmeasured` has the evaluations that were asked for and do not apply to the run: id -> name and reason. `keep_checkpoints` has the shares of the
    training after which the suite, or an evaluation, has the model kept.
    """

    run: Run
    assembly: Assembly
    evaluations: tuple[EvaluationPlan, ...]
    unmeasured: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    state: RunState = MISSING
    sources: Sources = field(default_factory=dict)
    varying: Mapping[str, str] = field(default_factory=dict)
    keep_checkpoints: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """The run in a few words that no other run of the suite has."""
        return f"{self.run.about} {joined(self.varying)}".rstrip()


@dataclass(frozen=True)
class Plan:
    """All runs of a suite, each once, in the suite's order. `digest` is that of the suite, and `changes` are the flags that have changed it."""

    name: str
    runs: tuple[Planned, ...]
    inapplicable: tuple[Unplanned, ...]
    blocked: tuple[Unplanned, ...]
    leaderboard: Leaderboard | None
    description: str = ""
    expect: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = ""
    changes: str = ""

    @property
    def models(self) -> int:
        """How many runs there are that differ in more than their seed."""
        return len({digest(item.run.model_dump(exclude_none=True, exclude={"seed", "protocol"})) for item in self.runs})

    @property
    def unmeasured(self) -> list[str]:
        """The evaluations that were asked for and do not apply, a line for each and its reason, with how many runs it is left out of."""
        counts = Counter(left_out for item in self.runs for left_out in item.unmeasured.values())
        return [f"evaluation {name} of {n} runs: {reason}" for (name, reason), n in counts.items()]


def make_plan(suite: Suite, registry: Registry, device: str, changes: Changes = NO_CHANGES) -> Plan:
    """Every distinct run of the suite, not yet compared with a store.

    Raises:
        UserError: a name, value or setting of the suite or of `changes` is wrong, or nothing is left to run.
    """
    for flag, keys in (("--set", changes.sets), ("--only", changes.only)):
        for key in keys:
            _checked(key, flag)
    check_leaderboard(suite, registry)
    if suite.tune is not None:
        check_tuning(suite.tune, registry)
    expanded = [expand(sweep, registry, device, changes) for sweep in suite.sweeps]
    _check_defaults(suite, expanded, registry, changes)
    _check_only(suite.name, [item for whole in expanded for item in whole.items], registry, changes)
    runs, unplanned, read = _chosen(suite, expanded, registry, changes)
    for key in sorted(changes.sets.keys() - read) if runs else ():
        raise UserError(unknown_option(key, registry) or f"no run of the suite reads '{key}'", where=changes.flags[key])
    blocked = tuple(u for u in unplanned if u.missing_plugin)
    inapplicable = tuple(u for u in unplanned if not u.missing_plugin)
    named = frozenset().union(*(sweep.explicit | sweep.defaults for sweep in suite.sweeps), changes.sets)
    told_apart = varying([item.run for item in runs], named)
    planned = tuple(replace(item, varying=settings) for item, settings in zip(runs, told_apart, strict=True))
    about = (suite.leaderboard, suite.description, suite.expect, suite.notes, suite.digest, str(changes))
    return Plan(suite.name, planned, inapplicable, blocked, *about)


def _chosen(
    suite: Suite, expanded: Sequence[Expanded], registry: Registry, changes: Changes
) -> tuple[Sequence[Planned], Sequence[Unplanned], Set[str]]:
    """The distinct runs that `--only` chooses with their evaluations, combinations that cannot be trained, and the settings that the runs read."""
    runs: dict[str, Planned] = {}
    unplanned: dict[str, Unplanned] = {}
    read: set[str] = set()
    for sweep, whole in zip(suite.sweeps, expanded, strict=True):
        chosen = [item.outcome for item in whole.items if selected(item, changes)]
        unplanned.update({item.id: item for item in chosen if isinstance(item, Unplanned)})
        resolved = [item for item in chosen if isinstance(item, Resolved)]
        read.update(*(item.read for item in resolved))
        try:
            asked = [asked_for(spec, registry) for spec in sweep.evaluations]
        except MissingPluginError as error:
            lost = [Unplanned(item.run.model_dump(mode="json"), str(error), missing_plugin=True) for item in resolved]
            unplanned.update({u.id: u for u in lost})
            continue
        for item in resolved:
            reasons = {e.plan.id: (str(e.plan), reason) for e in asked if (reason := e.left_out(item.assembly)) is not None}
            measured = [e for e in asked if e.plan.id not in reasons]
            known = runs.get(item.run.id, Planned(item.run, item.assembly, (), keep_checkpoints=suite.keep_checkpoints))
            merged = tuple({e.id: e for e in (*known.evaluations, *(e.plan for e in measured))}.values())
            kept = tuple(sorted({*known.keep_checkpoints, *(share for e in measured for share in e.checkpoints)}))
            runs[item.run.id] = Planned(item.run, item.assembly, merged, {**known.unmeasured, **reasons}, keep_checkpoints=kept)
    return list(runs.values()), list(unplanned.values()), read


def _check_defaults(suite: Suite, expanded: Sequence[Expanded], registry: Registry, changes: Changes) -> None:
    """Refuse defaults of a file that no sweep of it reads."""
    read_of: dict[Path, set[str]] = {}
    for sweep, whole in zip(suite.sweeps, expanded, strict=True):
        read_of.setdefault(sweep.file, set()).update(whole.read)
    for sweep in suite.sweeps:
        lengths = {"training.steps", "training.epochs"}  # a sweep may replace one by the other
        check_read(sweep, sweep.defaults - read_of[sweep.file] - lengths, registry, changes)


def _check_only(name: str, items: Sequence[Item], registry: Registry, changes: Changes) -> None:
    """Refuse values of `--only` that no run has, and changes that leave no run."""
    if not items:
        raise UserError(f"no run is left of suite '{name}': its rules exclude all that {', '.join(changes.flags.values())} leaves")
    for key, values in changes.only.items():
        if unknown := unknown_option(key, registry):
            raise UserError(unknown, where=f"--only {key}")
        for value in values:
            if not any(same(item.settings.get(key), value) for item in items):
                found = sorted({str(item.settings.get(key)) for item in items})
                told = shortened(", ".join(found), 400)
                raise UserError(f"--only {key}={flagged(value)}: no run has it{nearest(str(value), found)}, and the suite has {key}: {told}")
    if not any(selected(item, changes) for item in items):
        only = " ".join(f"{key}={','.join(map(flagged, values))}" for key, values in changes.only.items())
        raise UserError(f"--only {only}: no run of suite '{name}' has them all")


def _checked(key: str, flag: str) -> None:
    try:
        check_key(key)
    except UserError as error:
        raise error.at(f"{flag} {shortened(key)}") from error
