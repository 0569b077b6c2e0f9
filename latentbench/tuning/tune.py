"""Tuning a suite: the same number of trials for every model, and the suite with the best settings of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from latentbench.engine import NO_LIMITS, Limits
from latentbench.errors import UserError
from latentbench.plugin_files import with_files
from latentbench.registry import load_registry
from latentbench.runner import DEFAULT_ENGINE, MISSING, Selection
from latentbench.suites.expand import NO_CHANGES, Changes
from latentbench.suites.launch import Launch, choose_engine
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import Suite, load_suite
from latentbench.suites.tune import Tuning, check_seeds
from latentbench.suites.tune_checks import better, check_splits, measuring
from latentbench.tuning.checks import check_changes, check_models, check_out, check_read, check_tuned, check_whole, remarks
from latentbench.tuning.model_search import ModelSearch
from latentbench.tuning.models import models_of
from latentbench.tuning.proposals import check_optuna
from latentbench.tuning.rounds import Execution, Rounds
from latentbench.tuning.summary import about_tuned
from latentbench.tuning.trials import Searched
from latentbench.tuning.written import tuned_data, write_suite

FOLDER = "tuning"
"""Where tuning keeps results folders of its own, in that of the suites: trials are no rows of leaderboards."""


@dataclass(frozen=True)
class Tuned:
    """What tuning has found of every model, in the suite's order; `left` counts runs of the last round that are not done, if it is not finished."""

    models: tuple[Searched, ...]
    left: int = 0

    @property
    def failed(self) -> tuple[Searched, ...]:
        """The models of which every trial failed."""
        return tuple(one for one in self.models if one.best is None)


def tune(
    suite: Path,
    out: Path,
    results: Path,
    launch: Launch = DEFAULT_ENGINE,
    changes: Changes = NO_CHANGES,
    selection: Selection = MISSING,
    limits: Limits = NO_LIMITS,
    command: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    trials: int | None = None,
    tell: Callable[[str], None] = print,
) -> Tuned:
    """Tune every model of a suite, and write the suite with the best settings of each to `out`, unless runs of a round are left.

    Trials are runs of the results folder `tuning/NAME` within `results`. What is stored there is not run again, so that the same call continues an
    interrupted one. A model's first trial is the suite's own settings: by its measure, tuning never does worse.

    Args:
        suite: the suite file, with a section `tune`.
        out: the file to write.
        results: the results folder.
        launch: the engine, as `run_suite` takes it; so it does `selection`, `limits`, `command` and `plugins`.
        changes: changes of the trials, which the tuned suite does not have; `only` selects models, `seeds` are those of tuning.
        trials: of every model; by default as many as the suite says.
        tell: told of every round that begins, and of what is seldom meant.

    Raises:
        UserError: optuna is missing, or something is wrong with the suite, the changes, the engine, a plugin file or a folder.
    """
    check_optuna()
    registry, loaded = with_files(load_registry(), plugins), load_suite(suite)
    tuning = _section(loaded, changes)
    check_changes(changes, tuning)
    check_out(out, loaded)
    device = choose_engine(launch, loaded.engine, registry).device
    plan = make_plan(loaded, registry, device, replace(changes, seeds=None))
    models = models_of(loaded, tuning, registry, device, replace(changes, seeds=tuning.seeds[:1]))
    evaluation = measuring(tuning, registry)
    check_splits(tuning, registry, (item.assembly for item in plan.runs))
    check_whole(plan)
    check_read(models, tuning, changes)
    check_models(models, plan, tuning, evaluation)
    for remark in remarks(models, plan, tuning):
        tell(remark)
    of_trials = replace(changes, seeds=tuning.seeds)  # as flags they are: rules of the suite about its own seeds match no trial
    execution = Execution(launch, of_trials, selection, limits, command, plugins)
    rounds = Rounds(loaded, tuning, models, evaluation.plan.id, results / FOLDER / folder_name(loaded.name), execution, tell)
    tuned = search(rounds, tuning.trials if trials is None else trials, better(tuning, registry))
    if not tuned.left:
        best = [(one.model, one.best.settings if one.best else {}) for one in tuned.models]
        write_suite(out, tuned_data(loaded.source.data, best), about_tuned(tuning, tuned.models, changes), command)
        check_tuned(out, registry, device)
    return tuned


def search(rounds: Rounds, trials: int, direction: str) -> Tuned:
    """Rounds of trials, one of every model, until each has had its `trials`, or runs of a round are left."""
    searches = [ModelSearch(model, direction) for model in rounds.models]
    found = tuple(one.found for one in searches)
    for number in range(1, trials + 1):
        rounds.tell(f"round {number} of {trials}, a trial of each of {len(found)} models")
        done = rounds.run(number, [one.propose() for one in searches])
        if done.left:
            return Tuned(found, done.left)
        for one, value in zip(searches, done.values, strict=True):
            one.tell(value)
    return Tuned(found)


def folder_name(suite: str) -> str:
    """A suite's name as that of a folder."""
    return re.sub(r"[^\w-]+", "-", suite, flags=re.ASCII)


def _section(suite: Suite, changes: Changes) -> Tuning:
    """The section `tune` of a suite, with the seeds of the command line where it names any."""
    if suite.tune is None:
        raise UserError(f"{suite.source.path}: the suite has no section `tune`, which says what is tried and what is measured")
    if changes.seeds is None:
        return suite.tune
    check_seeds(changes.seeds, suite.seeds, changes.flags["seed"])
    return replace(suite.tune, seeds=tuple(changes.seeds))
