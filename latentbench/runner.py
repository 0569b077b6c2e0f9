"""Running a suite: plan, leave out what is done, run the rest, show the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from latentbench.compare import Query, compare, render
from latentbench.engine import run_jobs
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
        lacking = tuple(item.evaluations)
        if self.force or item.state == "missing" or (item.state == "failed" and self.retry) or (item.state == "stale" and self.refresh):
            return Job(item.run, lacking)
        return Job(item.run, lacking, trained=True) if item.state == "unevaluated" else None


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
    for item in plan.blocked:
        store_blocked(item, store)
    with Progress(plan, jobs, len(slots)) as progress:
        failed = run_jobs(jobs, results, slots, progress)
    progress.summary(results)
    _print_leaderboard(plan, results)
    return failed + len(plan.blocked)


def _print_leaderboard(plan: Plan, results: Path) -> None:
    if plan.leaderboard is None:
        return
    states = Store(results).run_states()
    ids = frozenset(item.run.id for item in plan.runs)
    if not any(states.get(run_id, {}).get("status") == "done" for run_id in ids):
        return
    board = plan.leaderboard
    query = Query(board.metric, tuple(board.rows), tuple(board.columns), run_ids=ids, values_of="runs")
    print("\n" + render(compare([results], query, load_registry().better())))
