"""What tuning refuses before anything runs, and a tuned suite that cannot be run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from latentbench.errors import UserError
from latentbench.files import write_atomically
from latentbench.registry import Registry
from latentbench.suites.asked_evaluation import AskedEvaluation
from latentbench.suites.expand import Changes
from latentbench.suites.plan import Plan, make_plan
from latentbench.suites.suite import Suite, load_suite
from latentbench.suites.tune import Tuning
from latentbench.tuning.models import Model
from latentbench.tuning.told_apart import runs_of
from latentbench.tuning.written import MADE


def check_changes(changes: Changes, tuning: Tuning) -> None:
    """Refuse changes to models that the suite does not have."""
    for key in sorted({*changes.settings} & {*tuning.models}):
        raise UserError(f"'{key}' tells the models of the suite apart, and it has no other; select some with --only", where=changes.flags[key])


def check_out(out: Path, suite: Suite) -> None:
    """Refuse a file that cannot be written, is the suite's own, or was written by someone else than these commands."""
    if out.resolve() == suite.source.path.resolve():
        raise UserError("that is the suite itself, which would lose its comments and its section `tune`; name another file", where=f"--out {out}")
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise UserError("is a folder" if out.is_dir() else "there is no such folder", where=f"--out {out}")
    if out.exists() and not out.read_bytes().startswith(MADE.encode()):
        raise UserError("is there already, and was not made by `latentbench tune` or `latentbench budget`; name another file", where=f"--out {out}")
    probe = out.with_name(f".probe.{uuid4().hex}")
    try:
        write_atomically(probe, b"")
        probe.unlink()
    except OSError as error:
        raise UserError(f"its folder is not writable: {error.strerror or error}", where=f"--out {out}") from error


def check_tuned(out: Path, registry: Registry, device: str) -> None:
    """Refuse to call a tuned suite done that cannot be run."""
    try:
        make_plan(load_suite(out), registry, device)
    except UserError as error:
        raise UserError(f"{error}: the settings that were found leave it without a meaning; {out} is written, and runs without that line") from error


def check_whole(plan: Plan, remedy: str = "mend the plugin, or leave these runs out with --only") -> None:
    """Refuse a suite of which a missing plugin leaves runs out: they would keep their settings, and be compared with models that got others."""
    for item in plan.blocked:
        about = f"{item.settings.get('family')} on {item.settings.get('dataset')}"
        raise UserError(f"{about} would keep its settings: {item.reason}; {remedy}")


def check_models(models: Sequence[Model], plan: Plan, tuning: Tuning, evaluation: AskedEvaluation) -> None:
    """Refuse models of which the metric is not measured, and a search of nothing."""
    for model, runs in zip(models, runs_of(models, tuning.models, plan.runs), strict=True):
        for item in runs:
            reason = evaluation.left_out(item.assembly)
            if reason is None and tuning.metric not in (*evaluation.part.metrics, *getattr(item.assembly.family, "measures", ())):
                reason = f"it is no cost of '{item.run.family}'"
            if reason is not None:
                raise UserError(f"'{tuning.metric}' is not measured of {model}: {reason}; leave it out with --only", where=tuning.where("metric"))
    if not any(model.space for model in models):
        raise UserError(f"no model of suite '{plan.name}' reads a setting of `space` or declares one itself: nothing to search", where=tuning.where())


def remarks(models: Sequence[Model], plan: Plan, tuning: Tuning) -> Iterator[str]:
    """What is allowed and seldom meant: one trial for several data sets, whose metric is that of the largest numbers."""
    for model, runs in zip(models, runs_of(models, tuning.models, plan.runs), strict=True):
        datasets = list(dict.fromkeys(item.run.dataset for item in runs))
        if len(datasets) > 1:
            yield f"note: {model} is tuned for the mean over {', '.join(datasets)}; add dataset to `models` to tune it for each"


def check_read(models: Sequence[Model], tuning: Tuning, changes: Changes) -> None:
    """Refuse a searched setting that no model reads, unless flags have changed the suite, or left models out."""
    for key in () if changes.only or changes.settings.keys() - {"seed"} else tuning.space:
        if not any(key in model.space for model in models):
            raise UserError(f"'{key}' cannot be searched: no run of the suite reads it", where=tuning.where(key))
