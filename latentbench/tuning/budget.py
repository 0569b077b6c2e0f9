"""A suite in which every model trains for the same time, at the pace of its stored runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latentbench.errors import UserError
from latentbench.runner import DEFAULT_ENGINE, planned
from latentbench.suites.expand import NO_CHANGES
from latentbench.suites.launch import Launch
from latentbench.suites.suite import Suite, load_suite
from latentbench.tuning.budget_summary import about_paced
from latentbench.tuning.checks import check_out, check_whole
from latentbench.tuning.pace import Paced, paced, paces
from latentbench.tuning.told_apart import Named, check_told_apart, found_by_model, matches, named, runs_of
from latentbench.tuning.written import paced_data, write_suite


def budget(
    suite: Path, out: Path, results: Path, seconds: float, launch: Launch = DEFAULT_ENGINE, command: Sequence[str] = (), plugins: Sequence[Path] = ()
) -> list[Paced]:
    """Write a suite in which every model trains for some seconds: as many steps as it does in that time at the pace of its stored runs.

    Models are the cells of the suite's leaderboard: runs that are alike in the settings of its rows and columns. Durations in steps or epochs are
    scaled with the length, as `--scale` does it.

    Args:
        suite: the suite file, whose runs are stored.
        out: the file to write.
        results: their results folder.
        seconds: the training time of every run: CPU time, or on CUDA that between the first step and the last (`device_seconds`).
        launch: the engine, as `run_suite` takes it; it tells runs on the CPU from those on GPUs.
        command: the command line, which the written suite has in a comment.
        plugins: files of plugins.

    Raises:
        UserError: something is wrong with the suite, its folder, the engine or a plugin file; no run of a model is done; runs of a model have several
            lengths; not all were timed on one device; or the leaderboard compares durations.
    """
    loaded = load_suite(suite)
    names = _names(loaded)
    check_out(out, loaded)
    plan, engine, snapshot, registry = planned(suite, results, launch, NO_CHANGES, plugins)
    check_whole(plan, "mend the plugin")
    found = found_by_model(loaded, names, registry, engine.device, NO_CHANGES)
    models = [Named(named(runs[0].resolved.run, names), matches(runs, names)) for runs in found]
    check_told_apart(models, loaded.source.where(("leaderboard",)))
    known = paces(models, runs_of(models, names, plan.runs), snapshot.store)
    answer = [paced(*each, seconds, registry, engine.device) for each in zip(models, found, known, strict=True)]
    for key in sorted({key for one in answer for settings in one.lengths.values() for key in settings} & {*names}):
        raise UserError(f"the leaderboard compares runs of several '{key}', which equal seconds decide", where=loaded.source.where(("leaderboard",)))
    data = paced_data(loaded.source.data, seconds, [(one.model, one.lengths.__getitem__) for one in answer])
    write_suite(out, data, about_paced(answer, seconds), command)
    return answer


def _names(suite: Suite) -> tuple[str, ...]:
    """The settings that tell the cells of a suite's leaderboard apart."""
    if suite.leaderboard is None:
        raise UserError(f"{suite.source.path}: the suite has no leaderboard, whose rows and columns say what trains for the same time")
    if suite.source.data.get("include"):
        raise UserError("runs of included suites keep their lengths: give each of those suites a budget", where=suite.source.where(("include",)))
    return (*suite.leaderboard.rows, *suite.leaderboard.columns)
