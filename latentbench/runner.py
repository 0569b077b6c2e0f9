"""Running a suite: plan, leave out what is done, run the rest, show the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latentbench.compare import Query, compare, render
from latentbench.data import prepare
from latentbench.engine import run_jobs
from latentbench.errors import UserError
from latentbench.execute import Job, store_blocked
from latentbench.plan import Changes, Plan, Planned, make_plan, with_states
from latentbench.progress import Progress
from latentbench.registry import load_registry
from latentbench.store import Store
from latentbench.suite import load_suite


@dataclass(frozen=True)
class Selection:
    """Which runs are run though the store has them. Missing ones always are."""

    force: bool = False
    retry: bool = False
    refresh: bool = False

    def job(self, item: Planned) -> Job | None:
        """What to do about a planned run."""
        if self.force:
            return Job(item.run, item.evaluations)
        wanted = {"missing": True, "unevaluated": True, "failed": self.retry, "stale": self.refresh, "done": False}[item.state]
        return Job(item.run, item.evaluations, item.trained) if wanted else None


def planned(suite: Path, results: Path, device: str, changes: Changes) -> Plan:
    """The plan of a suite file, with the state of every run in a results folder.

    Raises:
        UserError: the suite or the changes are wrong, or the folder cannot be read.
    """
    registry = load_registry()
    return with_states(make_plan(load_suite(suite), registry, device, changes), Store(results), registry)


def run_suite(suite: Path, results: Path, device: str, slots: Sequence[str], changes: Changes, selection: Selection) -> int:
    """Run what is not done, print progress, a summary and the leaderboard; return how many runs failed.

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
    with Progress(plan, jobs, len(slots)) as progress:
        failed = run_jobs(jobs, results, slots, progress)
    progress.summary(results)
    _print_leaderboard(plan, results)
    return failed + len(plan.blocked)


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
