"""Running a suite: plan, leave out what is done, run the rest, show the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latentbench.compare import Query, compare, render
from latentbench.data import prepare
from latentbench.engine import NO_LIMITS, Limits, LocalEngine
from latentbench.errors import UserError
from latentbench.execute import Job, store_blocked
from latentbench.plan import Changes, Plan, Planned, make_plan, with_state, with_states
from latentbench.progress import Progress
from latentbench.registry import load_registry
from latentbench.speeds import expected_seconds, speeds
from latentbench.store import Store
from latentbench.suite import load_suite


@dataclass(frozen=True)
class Selection:
    """Which runs are run though the store has them. Missing ones always are. `retry` names kinds of failure, or `all`."""

    force: bool = False
    retry: frozenset[str] = frozenset()
    refresh: bool = False

    def job(self, item: Planned) -> Job | None:
        """What to do about a planned run."""
        if self.force:
            return Job(item.run, item.evaluations, fresh=True)
        retried = bool({"all", item.failure_kind} & self.retry)
        wanted = {"missing": True, "unevaluated": True, "failed": retried, "stale": self.refresh, "done": False}[item.state]
        return Job(item.run, item.evaluations, item.trained) if wanted else None


def planned(suite: Path, results: Path, device: str, changes: Changes) -> Plan:
    """The plan of a suite file, with the state of every run in a results folder.

    Raises:
        UserError: the suite or the changes are wrong, or the folder cannot be read.
    """
    registry = load_registry()
    return with_states(make_plan(load_suite(suite), registry, device, changes), Store(results), registry)


def run_suite(
    suite: Path, results: Path, device: str, slots: Sequence[str], changes: Changes, selection: Selection, limits: Limits = NO_LIMITS
) -> int:
    """Run what is not done, print progress, a summary and the leaderboard; return how many runs failed.

    Runs that another invocation works on are left to it, and waited for.

    Raises:
        UserError: the suite, the changes or the results folder are wrong; nothing was run then.
    """
    store = Store(results)
    plan = planned(suite, results, device, changes)
    store.check_writable()
    jobs = [job for item in plan.runs if (job := selection.job(item))]
    store_blocked(plan.blocked, store)
    registry = load_registry()
    prepare([registry.dataset(name) for name in dict.fromkeys(job.run.dataset for job in jobs)])
    planned_runs = {item.run.id: item for item in plan.runs}

    def needed(job: Job) -> Job | None:
        """What is still to do of a job, as others may have done it since the plan was made."""
        if selection.force:
            return job
        row, evaluated = store.state_of(job.run.id)
        return selection.job(with_state(planned_runs[job.run.id], row, evaluated, registry))

    with Progress(plan, jobs, len(slots)) as progress:
        failed = LocalEngine(results, slots, progress, needed, limits).run(_longest_first(jobs, store))
    progress.summary(results)
    _print_leaderboard(plan, results)
    return failed + len(plan.blocked)


def _longest_first(jobs: Sequence[Job], store: Store) -> list[Job]:
    """Jobs by what they are expected to take, those that nothing is known of first: a long run that starts last keeps everybody waiting."""
    seconds = speeds(store)
    return sorted(jobs, key=lambda job: -expected_seconds(job.run, seconds, float("inf")))


def _print_leaderboard(plan: Plan, results: Path) -> None:
    """The suite's table over its own runs and evaluations. That it cannot be made is no failure of the runs."""
    if plan.leaderboard is None:
        return
    states = Store(results).run_states()
    ids = frozenset(item.run.id for item in plan.runs)
    if not any(states.get(run_id, {}).get("status") == "done" for run_id in ids):
        return
    board = plan.leaderboard
    evaluations = frozenset(e.id for item in plan.runs for e in item.evaluations)
    query = Query(board.metric, tuple(board.rows), tuple(board.columns), run_ids=ids, evaluations=evaluations, values_of="runs")
    try:
        print("\n" + render(compare([results], query, load_registry().better())))
    except UserError as error:
        print(f"\nno leaderboard: {error}")
