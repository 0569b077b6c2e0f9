"""A pilot: does queued runs of a results folder, from whatever machine sees it, until none is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from latentbench.engine import NO_LIMITS, Engine, Limits, Watcher
from latentbench.errors import UserError
from latentbench.execution.execute import OtherCodeError, check_code, registry_for
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.execution.queue import prune, waiting
from latentbench.execution.work import FOLLOW_EVERY, Work
from latentbench.registry import Registry, load_registry
from latentbench.results.store import Store


@dataclass(frozen=True)
class Refused:
    """A queued run that this process does not execute, and why."""

    job: Job
    reason: str


def refused(results: Path, device: str, registry: Registry) -> list[Refused]:
    """The queued runs for `device` that no other process works on and that this process has other code for."""
    found = []
    for job, _ in free_jobs(results):
        if job.run.device == device:
            try:
                check_code(job, registry_for(job, registry, results))
            except OtherCodeError as error:
                found.append(Refused(job, str(error)))
    return found


def free_jobs(results: Path) -> list[tuple[Job, Path]]:
    """The queued runs that no process works on, each with its queue file, in the order of the files."""
    busy = Leases(results / "leases").busy()
    return [(queue.job(run_id), queue.path) for run_id, queue in waiting(results).items() if run_id not in busy]


def _is_asked(files: Mapping[str, Path], job: Job) -> bool:
    return files[job.run.id].exists()


def work_off(results: Path, engine: Engine, watch: Callable[[Sequence[Job]], Watcher], limits: Limits = NO_LIMITS) -> int:
    """Do queued runs with `engine` until none is left that no other process works on; return how many failed here.

    Runs whose queue file goes, as when it was cancelled, are not begun any more; runs that were planned with other code than this process has stay
    queued, as `refused` tells.

    Args:
        results: the results folder, where an invocation has queued runs.
        engine: executes them, in this process or its children.
        watch: makes what is told how these runs go.
        limits: of time and failures.

    Raises:
        UserError: the folder does not exist or cannot be written, a queue file is damaged, or the engine starts pilots instead of being one.
    """
    if engine.detached:
        raise UserError(f"engine {engine.name} starts workers itself, and cannot be one; `latentbench run --engine {engine.name}` does")
    store, failed, over = Store(results), 0, set[str]()
    store.check_exists()
    store.check_writable()
    registry = load_registry()
    others = {item.job.run.id for item in refused(results, engine.device, registry)}
    while found := [(job, path) for job, path in free_jobs(results) if job.run.device == engine.device and job.run.id not in over | others]:
        jobs, files = [job for job, _ in found], {job.run.id: path for job, path in found}
        work = Work(results, jobs, watch(jobs), limits, wait=False)
        work.asked = partial(_is_asked, files)
        try:
            engine.run(work)
        finally:
            work.release_all()
        failed, over = failed + work.failures, over | work.over
        if work.stop() or not (work.over or work.compacting):
            break  # other processes work on what is left
        time.sleep(FOLLOW_EVERY if work.compacting else 0)
    prune(results)
    return failed
