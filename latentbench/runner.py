"""Running a suite: plan, leave out what is done, run the rest, show the leaderboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from latentbench.data import overlap
from latentbench.data.dataset import DataSet
from latentbench.data.fetch import prepare
from latentbench.engine import NO_LIMITS, Engine, Limits
from latentbench.errors import UserError
from latentbench.execution.cost.estimate import estimate
from latentbench.execution.cost.progress import Measuring
from latentbench.execution.forced import Forcing
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.execution.progress import Progress
from latentbench.execution.queue import enqueue, prune
from latentbench.execution.speeds import expected, speeds
from latentbench.execution.work import Work
from latentbench.execution.worker import free_jobs, refused, work_off
from latentbench.plugin_files import keep, with_files
from latentbench.registry import Registry, load_registry
from latentbench.results.asked import Asked
from latentbench.results.blocked import store_blocked
from latentbench.results.snapshot import Snapshot
from latentbench.results.states import run_state, with_sources, with_states
from latentbench.results.store import Store
from latentbench.suites.expand import NO_CHANGES, Changes
from latentbench.suites.launch import Launch, choose_engine
from latentbench.suites.plan import Plan, Planned, make_plan
from latentbench.suites.resolve import assemble
from latentbench.suites.run_state import Kind, RunState
from latentbench.suites.suite import load_suite

if TYPE_CHECKING:
    from latentbench.reporting.costs import Costs


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
        state = item.state
        anew = Job(item.run, item.evaluations, seen=state.revision, sources=item.sources, label=item.label)
        if self.force or state.kind in (Kind.MISSING, Kind.INTERRUPTED):
            return anew
        wanted = state.lacking + state.outdated if self.refresh else state.lacking
        measured = replace(anew, evaluations=wanted, trained=True) if wanted else None
        if state.other_code and not self.accept:
            return anew if self.refresh or self.retries(state) else None
        if state.kind is Kind.FAILED:
            return None if not self.retries(state) else measured if state.trained and whole else anew
        return measured

    def retries(self, state: RunState) -> bool:
        """Whether a run in this state has failed and is run again for it."""
        return state.kind is Kind.FAILED and bool({"all", state.failure and state.failure.kind} & self.retry)


DEFAULT_ENGINE, MISSING = Launch(), Selection()


def planned(suite: Path, results: Path, launch: Launch, changes: Changes, plugins: Sequence[Path] = ()) -> tuple[Plan, Engine, Snapshot, Registry]:
    """The plan of a suite file, with the state of every run in a results folder, the engine for it, the folder as it was read, and the registry.

    Raises:
        UserError: the suite, the changes, the engine or a plugin file are wrong, or the folder cannot be read.
    """
    registry = with_files(load_registry(), plugins)
    loaded = load_suite(suite)
    engine = choose_engine(launch, loaded.engine, registry)
    plan = make_plan(loaded, registry, engine.device, changes)
    snapshot = Snapshot.read(Store(results))
    return with_states(plan, snapshot, registry), engine, snapshot, registry


def costed(plan: Plan, engine: Engine, registry: Registry, plugins: Sequence[Path] = (), fresh: bool = False) -> Costs:
    """What the runs of a plan will cost on the first device of this machine of the engine's kind; see `latentbench.execution.cost.estimate`."""
    from latentbench.reporting.costs import Costs

    device = "cpu" if engine.device == "cpu" else "cuda:0"
    with Measuring("kind") as measuring:
        found = estimate(with_sources(plan, registry), device, measuring.tell, plugins, fresh)
    left = {job.run.id: job.trained for item in plan.runs if (job := MISSING.job(item)) is not None}
    return Costs(found, engine, plan, left)


def run_suite(
    suite: Path | str,
    results: Path | str,
    launch: Launch = DEFAULT_ENGINE,
    changes: Changes = NO_CHANGES,
    selection: Selection = MISSING,
    limits: Limits = NO_LIMITS,
    command: Sequence[str] = (),
    plugins: Sequence[Path] = (),
) -> int:
    """Run what is not done, print progress, a summary and the leaderboard; return how many runs of the suite have failed or were left.

    Runs that another invocation works on are left to it, and waited for. The `command` line is recorded in the results folder, and the `plugins`,
    files whose parts are used without packaging, are copied there.

    Raises:
        UserError: the suite, the changes, the engine, a plugin file or the results folder are wrong; nothing was run then.
    """
    plan, engine, snapshot, registry = planned(Path(suite), Path(results), launch, changes, plugins)
    plan = with_sources(plan, registry)
    engine.check()
    snapshot.store.check_writable()
    keep(registry, snapshot.store.path)
    Asked.of(plan, command).write(snapshot.store)
    forcing = Forcing.read(snapshot.store.path, plan) if selection.force else None
    jobs = longest_first(_jobs(plan, selection, forcing, snapshot.store), snapshot)
    Leases(snapshot.store.path / "leases").sweep()
    store_blocked(plan.blocked, snapshot)
    datasets = list(dict.fromkeys(cast("DataSet", assemble(job.run, registry).dataset) for job in jobs))
    prepare(datasets)
    _forget_states(plan, forcing, snapshot)
    if forcing is not None:
        forcing.begin()
    with Progress(engine.detached) as progress:
        _announce(plan, len(jobs), engine, progress)
        for line in [*overlap.warnings(datasets), *(forcing.remarks() if forcing else ())]:
            progress.say(line)
        work = Work(snapshot.store.path, jobs, progress.watch(jobs), limits)
        execute_all(engine, work, plan.name, snapshot)
    if forcing is not None and not work.left and not work.cancelled:
        forcing.end()
    return _concluded(plan, engine, work, jobs, progress)


def _jobs(plan: Plan, selection: Selection, forcing: Forcing | None, store: Store) -> list[Job]:
    """A job for every run of a plan that lacks something, or is run again."""
    jobs, redone = [], forcing.redone if forcing else frozenset()
    for item in plan.runs:
        chosen = replace(selection, force=item.run.id not in redone) if forcing else selection
        whole = not (item.state.trained and chosen.retries(item.state)) or store.has_checkpoint(item.run.id)
        job = chosen.job(item, whole)
        if job is not None:
            jobs.append(replace(job, keep_checkpoints=item.keep_checkpoints))
    return jobs


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


def execute_all(engine: Engine, work: Work, suite: str, snapshot: Snapshot) -> None:
    """Have the engine do the work, with a queue file of it, which stays where the runs outlive this process."""
    prune(work.results, snapshot, suite)
    if not work.left:
        return
    queue = enqueue(work.results, suite, work.left, engine.detached)
    work.asked = lambda job: queue.exists()
    stays = False
    try:
        engine.run(work)
        stays = engine.detached and bool(work.left) and not work.stop()
    except KeyboardInterrupt:
        stays = engine.detached
        raise
    finally:
        work.release_all()
        if not stays:
            with suppress(OSError):  # the next invocation of the suite removes it
                queue.unlink(missing_ok=True)


def _concluded(plan: Plan, engine: Engine, work: Work, jobs: Sequence[Job], progress: Progress) -> int:
    """Say what was done and what not, and show the leaderboard; return how many runs have failed or were left."""
    progress.summary(work.results, len(plan.blocked))
    failed_before = _remarks(plan, jobs, progress)
    undone = tell_undone(engine, work, progress)
    if undone is None:
        return 0
    _print_leaderboard(plan, work)
    return work.failures + undone + len(plan.blocked) + failed_before


def tell_undone(engine: Engine, work: Work, progress: Progress) -> int | None:
    """Say what was not done, and return how many runs that are; None where the engine leaves them to other processes."""
    undone = len(work.left) + len(work.cancelled)
    if undone and engine.detached and not work.followed:
        progress.say(f"{undone} runs are queued: `latentbench status` shows them, `latentbench cancel` takes them back")
        return None
    if work.cancelled:
        progress.say(f"{len(work.cancelled)} runs were taken back by `latentbench cancel`; the same command continues them")
    elif undone and not work.stop():
        progress.say(f"{undone} runs are not done, and no process works on them; the same command continues them")
    return undone


def _forget_states(plan: Plan, forcing: Forcing | None, snapshot: Snapshot) -> None:
    """Remove the states of runs that start from the beginning, or that are done, as when they were killed at the last moment.

    Runs that other processes work on keep theirs, and so do those of a --force that is continued.
    """
    again = set() if forcing is None else set(forcing.interrupted)
    over = {item.run.id for item in plan.runs if (forcing is not None and item.run.id not in again) or item.state.kind is Kind.DONE} - again
    if snapshot.saved & over:
        for run_id in (snapshot.saved & over) - Leases(snapshot.store.path / "leases").busy():
            snapshot.store.forget_state(run_id)


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
    already = [item for item in plan.runs if item.state.kind is Kind.FAILED and item.run.id not in tried]
    stale = [item for item in plan.runs if item.state.kind is Kind.STALE]
    left = sum(item.run.id not in tried for item in stale)
    if already:
        progress.say(f"{len(already)} runs failed before and were not tried again; --retry all does")
    if left:
        further = " and --accept stale measures what they lack on the stored models" if any(item.state.lacking for item in stale) else ""
        progress.say(f"{left} stored runs are stale: their code has changed since; --refresh stale runs them again{further}")
    return len(already)


def longest_first(jobs: Sequence[Job], snapshot: Snapshot) -> list[Job]:
    """Jobs by what they are expected to take, those that nothing is known of first: everything waits for a long run that starts last."""
    seconds = speeds(snapshot)
    return sorted(jobs, key=lambda job: -expected(job.run, seconds, float("inf")))


def _print_leaderboard(plan: Plan, work: Work) -> None:
    """The suite's table over its own runs and evaluations. That it cannot be made is no failure of the runs."""
    ids = frozenset(item.run.id for item in plan.runs)
    if plan.leaderboard is None or not any(run_state(*work.store.state_of(run_id)).trained for run_id in ids):
        return
    from latentbench.reporting import compare  # with pandas, which planning does without
    from latentbench.reporting.contrasts import Statistics
    from latentbench.reporting.query import Query
    from latentbench.reporting.rendering import render

    board = plan.leaderboard
    evaluations = frozenset({board.evaluation}) if board.evaluation else None
    query = Query(board.metric, board.rows, board.columns, board.split, board.index, evaluations=evaluations, values_of="runs")
    family = None if isinstance(board.comparisons, str) else board.comparisons.baseline
    try:
        shown = compare([work.results], query, Statistics(baseline=family, only_baseline=family is not None), asked=Asked.of(plan))
        print("\n" + render(shown, colour=None))
    except UserError as error:
        print(f"\nno leaderboard: {error}")
