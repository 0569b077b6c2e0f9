"""Running a suite: plan, leave out what is done, run the rest, show the leaderboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from latentbench.data import overlap
from latentbench.data.dataset import DataSet
from latentbench.data.fetch import prepare
from latentbench.engine import Engine
from latentbench.errors import UserError
from latentbench.execution import forced
from latentbench.execution.execute import store_blocked
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.execution.progress import Progress
from latentbench.execution.queue import enqueue, prune
from latentbench.execution.speeds import expected, speeds
from latentbench.execution.work import NO_LIMITS, Limits, Work
from latentbench.execution.worker import free_jobs, refused, work_off
from latentbench.registry import load_registry
from latentbench.reporting import compare
from latentbench.reporting.query import Query
from latentbench.reporting.rendering import render
from latentbench.results.states import with_sources, with_states
from latentbench.results.store import Store
from latentbench.suites.expand import NO_CHANGES, Changes
from latentbench.suites.launch import Launch, choose_engine
from latentbench.suites.plan import Plan, Planned, make_plan
from latentbench.suites.resolve import assemble
from latentbench.suites.suite import load_suite


@dataclass(frozen=True)
class Selection:
    """Which runs are run though the store has them. Missing ones always are. `retry` names kinds of failure, or `all`.

    A run is stale when its code has changed since: `refresh` trains and measures again what other code has made, `accept` measures what is missing
    on models that other code has trained.
    """

    force: bool = False
    retry: frozenset[str] = frozenset()
    refresh: bool = False
    accept: bool = False

    def job(self, item: Planned, whole: bool = True) -> Job | None:
        """What to do about a planned run; `whole` says that its stored model, if there is one, is not damaged."""
        anew = Job(item.run, item.evaluations, seen=item.revision, sources=item.sources, label=item.label)
        if self.force or item.state == "missing":
            return anew
        wanted = item.lacking + item.outdated if self.refresh else item.lacking
        measured = replace(anew, evaluations=wanted, trained=True) if wanted else None
        if item.other_code and not self.accept:
            return anew if self.refresh or self._retries(item) else None
        if item.state == "failed":
            return None if not self._retries(item) else measured if item.trained and whole else anew
        return measured

    def _retries(self, item: Planned) -> bool:
        return item.state == "failed" and bool({"all", item.failure_kind} & self.retry)


DEFAULT_ENGINE, MISSING = Launch(), Selection()


def planned(suite: Path, results: Path, launch: Launch, changes: Changes) -> tuple[Plan, Engine]:
    """The plan of a suite file, with the state of every run in a results folder, and the engine for it.

    Raises:
        UserError: the suite, the changes or the engine are wrong, or the folder cannot be read.
    """
    registry = load_registry()
    loaded = load_suite(suite)
    engine = choose_engine(launch, loaded.engine, registry)
    return with_states(make_plan(loaded, registry, engine.device, changes), Store(results), registry), engine


def run_suite(
    suite: Path | str,
    results: Path | str,
    launch: Launch = DEFAULT_ENGINE,
    changes: Changes = NO_CHANGES,
    selection: Selection = MISSING,
    limits: Limits = NO_LIMITS,
) -> int:
    """Run what is not done, print progress, a summary and the leaderboard; return how many runs of the suite have failed or were left.

    Runs that another invocation works on are left to it, and waited for.

    Raises:
        UserError: the suite, the changes, the engine or the results folder are wrong; nothing was run then.
    """
    suite, results = Path(suite), Path(results)
    store = Store(results)
    plan, engine = planned(suite, results, launch, changes)
    plan = with_sources(plan, load_registry())
    engine.check()
    store.check_writable()
    again = forced.unfinished(results, plan.name) if selection.force else {}
    redone = {item.run.id for item in plan.runs if item.run.id in again and item.revision != again[item.run.id]}
    chosen = {item.run.id: replace(selection, force=selection.force and item.run.id not in redone) for item in plan.runs}
    jobs = _longest_first(
        [job for item in plan.runs if (job := chosen[item.run.id].job(item, item.state != "failed" or store.has_checkpoint(item.run.id)))], store
    )
    Leases(results / "leases").sweep()
    store_blocked(plan.blocked, store)
    registry = load_registry()
    datasets = list(dict.fromkeys(cast("DataSet", assemble(job.run, registry).dataset) for job in jobs))
    prepare(datasets)
    _forget_states([item.run.id for item in plan.runs if (selection.force and item.run.id not in again) or item.state == "done"], again, results)
    if selection.force:
        forced.begin(results, plan.name, {item.run.id: again.get(item.run.id, item.revision) for item in plan.runs})
    with Progress(engine.goes_on) as progress:
        _announce(plan, len(jobs), engine, progress)
        for line in overlap.warnings(datasets):
            progress.say(line)
        if again:
            progress.say(f"continues a --force that was interrupted: {len(redone)} of its {len(again)} runs were run again before")
        work = Work(results, jobs, progress.watch(jobs), limits)
        _execute(engine, work, plan.name)
    progress.summary(results, len(plan.blocked))
    failed_before = _remarks(plan, jobs, progress)
    undone = len(work.left) + len(work.cancelled)
    if selection.force and not undone:
        forced.end(results, plan.name)
    if undone and engine.goes_on and not work.followed:
        progress.say(f"{undone} runs are queued: `latentbench status` shows them, `latentbench cancel` takes them back")
        return 0
    if work.cancelled:
        progress.say(f"{len(work.cancelled)} runs were taken back by `latentbench cancel`; the same command goes on with them")
    elif undone and not work.stop():
        progress.say(f"{undone} runs are not done, and nobody works on them; the same command goes on")
    _print_leaderboard(plan, results)
    return work.failed + undone + len(plan.blocked) + failed_before


def run_queued(results: Path, launch: Launch = DEFAULT_ENGINE, limits: Limits = NO_LIMITS) -> int:
    """Execute on this machine the queued runs of a results folder that no other process works on; return how many failed.

    Raises:
        UserError: the engine or the folder is wrong; or, when all else is done, queued runs are left that were planned with other code.
    """
    registry = load_registry()
    engine = choose_engine(launch, None, registry)
    engine.check()
    with Progress() as progress:
        failed = work_off(results, engine, progress.watch, limits)
    progress.summary(results)
    others = [job for job, _ in free_jobs(results) if job.run.device != engine.device]
    if others:
        progress.say(f"{len(others)} queued runs are for another device than {engine.device}")
    left = refused(results, engine.device, registry)
    if left:
        raise UserError(f"{len(left)} queued runs are left to processes that have their code: {left[0].reason}")
    return failed


def _execute(engine: Engine, work: Work, suite: str) -> None:
    """Have the engine do the work, with its queue file beside it, which stays where the runs go on without this process."""
    prune(work.results, work.store, suite)
    if not work.left:
        return
    queue = enqueue(work.results, suite, work.left, engine.goes_on)
    work.asked = lambda job: queue.exists()
    stays = False
    try:
        engine.run(work)
        stays = engine.goes_on and bool(work.left) and not work.stop()
    except KeyboardInterrupt:
        stays = engine.goes_on
        raise
    finally:
        work.let_go()
        if not stays:
            with suppress(OSError):  # the next invocation of the suite removes it
                queue.unlink(missing_ok=True)


def _forget_states(run_ids: Iterable[str], kept: Collection[str], results: Path) -> None:
    """Remove the states of runs that start from the beginning, or that are done, as when they were killed at the last moment.

    Runs that others work on keep theirs, and so do those `kept`.
    """
    store, busy = Store(results), Leases(results / "leases").busy()
    for run_id in (store.saved_states() & set(run_ids)) - busy - set(kept):
        store.forget_state(run_id)


def _announce(plan: Plan, jobs: int, engine: Engine, progress: Progress) -> None:
    progress.say(f"suite {plan.name}: {len(plan.runs)} runs, {len(plan.runs) - jobs} not run again, {jobs} to run, {engine.capacity}")
    for note in plan.notes:
        progress.say(f"note: {note}")
    for reason, n in Counter(item.reason for item in plan.inapplicable).items():
        progress.say(f"left out: {n} combinations: {reason}")
    for line in plan.unmeasured:
        progress.say(f"left out: {line}")
    for item in plan.blocked:
        progress.say(f"cannot run {item.settings.get('family')} on {item.settings.get('dataset')}: {item.reason}")


def _remarks(plan: Plan, jobs: Sequence[Job], progress: Progress) -> int:
    """Say what was not run, and how it would be; return how many of these runs have failed before."""
    tried = {job.run.id for job in jobs}
    already = [item for item in plan.runs if item.state == "failed" and item.run.id not in tried]
    stale = sum(item.state == "stale" and item.run.id not in tried for item in plan.runs)
    if already:
        progress.say(f"{len(already)} runs failed before and were not tried again; --retry all does")
    if stale:
        further = (
            " and --accept stale measures what they lack on the stored models" if any(i.state == "stale" and i.lacking for i in plan.runs) else ""
        )
        progress.say(f"{stale} stored runs are stale: their code has changed since; --refresh stale runs them again{further}")
    return len(already)


def _longest_first(jobs: Sequence[Job], store: Store) -> list[Job]:
    """Jobs by what they are expected to take, those that nothing is known of first: a long run that starts last keeps everybody waiting."""
    seconds = speeds(store)
    return sorted(jobs, key=lambda job: -expected(job.run, seconds, float("inf")))


def _print_leaderboard(plan: Plan, results: Path) -> None:
    """The suite's table over its own runs and evaluations. That it cannot be made is no failure of the runs."""
    if plan.leaderboard is None:
        return
    states = Store(results).run_states()
    ids = frozenset(item.run.id for item in plan.runs)
    if not any(states.get(run_id, {}).get("status") == "done" for run_id in ids):
        return
    evaluations = frozenset(e.id for item in plan.runs for e in item.evaluations)
    query = Query(**plan.leaderboard.model_dump(), run_ids=ids, evaluations=evaluations, values_of="runs")
    try:
        print("\n" + render(compare([results], query)))
    except UserError as error:
        print(f"\nno leaderboard: {error}")
