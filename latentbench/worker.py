"""A pilot: takes queued runs of a results folder, from whatever machine sees it, until none is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from latentbench.engine import Engine
from latentbench.errors import UserError
from latentbench.job import Job
from latentbench.leases import Leases
from latentbench.queue import prune, waiting
from latentbench.store import Store
from latentbench.work import NO_LIMITS, Limits, Watcher, Work


def free_jobs(results: Path) -> list[Job]:
    """The queued runs that nobody works on, in the order of their queue files."""
    others = Leases(results / "leases").busy()
    return [queue.job(run_id) for run_id, queue in waiting(results, Store(results)).items() if run_id not in others]


def work_off(results: Path, engine: Engine, watch: Callable[[Sequence[Job]], Watcher], limits: Limits = NO_LIMITS) -> int:
    """Do queued runs with `engine` until none is left that nobody works on; return how many failed here.

    Args:
        results: the results folder, where an invocation has queued runs.
        engine: executes them.
        watch: who is told how a number of runs goes.
        limits: of time and failures.

    Raises:
        UserError: the folder does not exist or cannot be written, or a queue file is damaged.
    """
    if not results.is_dir():
        raise UserError(f"results folder {results} does not exist")
    store, failed, tried = Store(results), 0, set[str]()
    store.check_writable()
    while jobs := [job for job in free_jobs(results) if job.run.device == engine.device and job.run.id not in tried]:
        work = Work(results, jobs, watch(jobs), limits, wait=False)
        engine.run(work)
        failed += work.failed
        tried |= {job.run.id for job in jobs} - {job.run.id for job in work.left}  # a run that was stopped is left to others
        if work.stop():
            break
    prune(results, store)
    return failed
