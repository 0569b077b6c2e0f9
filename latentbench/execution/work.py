"""What an engine is given: the runs to execute, in a results folder that other processes may share.

A run is acquired by its lease, which is renewed as long as this process lives, and released when the run is done, when its process was killed, or
when it was asked to stop. Whoever acquires it checks what of it is still to do. The outcome of a run is learnt from the store, and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from latentbench.engine import NO_LIMITS, Limits, Watcher
from latentbench.execution.heartbeat import Heartbeat, Steps
from latentbench.execution.job import Job
from latentbench.execution.leases import LeaseLostError, Leases
from latentbench.execution.rows import store_failure
from latentbench.execution.speeds import expected, memories
from latentbench.failure import Failure
from latentbench.files import listed
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store

FOLLOW_EVERY = 2.0
"""Seconds between two polls of a results folder where other processes work."""


class Work:
    """Jobs of one invocation, in the order in which they should start: `left` to be acquired, `cancelled`, and the ids of runs that are `over`.

    `compacting` says that the last `acquire` found nothing as the folder is being compacted: runs wait until that has ended.

    Args:
        results: the results folder.
        jobs: the runs to execute, in the order in which they should start.
        watcher: told how the runs go.
        limits: of time, failures, and of what may be lost.
        wait: whether runs that other processes work on are waited for, as those may die, or left to them.
    """

    def __init__(self, results: Path, jobs: Sequence[Job], watcher: Watcher, limits: Limits = NO_LIMITS, wait: bool = True) -> None:
        self.results, self.watcher, self.limits, self.wait = results, watcher, limits, wait
        self.leases = Leases(results / "leases")
        self.store = Store(results, fence=self.leases.check)
        self.left = list(jobs)
        self.over: set[str] = set()
        self.cancelled: list[Job] = []
        self.asked: Callable[[Job], bool] = lambda job: True
        self.failures = 0
        self.compacting = False
        self.followed = False
        self._heartbeat = Heartbeat(self.leases)

    @property
    def owner(self) -> str:
        """What tells this invocation apart: processes that execute its runs write only while the leases are this owner's."""
        return self.leases.owner

    def acquire(self, fits: Callable[[Job], bool] = lambda job: True) -> Job | None:
        """Lease the first run that fits and that no process works on; None where there is none at the moment.

        It is removed from `left`, as are runs that turn out to be done already, and those that are not `asked` for any more. Whoever acquires a run
        calls `renew` now and then, and in the end `finished`, `failed`, `retry` or `release`.
        """
        fitting = [job for job in self.left if fits(job)]
        self.compacting = bool(fitting) and self.leases.compacting()
        if self.compacting:
            return None
        busy = self.leases.busy() if fitting else set()
        for job in (job for job in fitting if job.run.id not in busy):
            if not self.asked(job):
                self._drop(job)
                continue
            if not self._heartbeat.acquire(job.run.id, job.label):
                self.compacting = self.leases.compacting()
                continue
            self.left.remove(job)
            wanted = job.rest(*self.store.state_of(job.run.id))
            if wanted is not None:
                return wanted
            self.release(job)
            self._tell_of(job, here=False)
        return None

    def _drop(self, job: Job) -> None:
        """A run that is not asked for any more is done, by another process, or was cancelled; unless its queue file went with the whole folder."""
        self.store.check_kept("queue")
        self.left.remove(job)
        if job.rest(*self.store.state_of(job.run.id)) is None:
            self._tell_of(job, here=False)
        else:
            self.cancelled.append(job)

    def renew(self, job: Job, progress: Steps | None = None) -> bool:
        """Tell the progress of a run, for `latentbench status`; costs nothing.

        False: another process has taken it over, whose results count, as when this machine slept for long.
        """
        return self._heartbeat.renew(job.run.id, progress)

    def renew_all(self) -> None:
        """Renew every lease now, as after this process was stopped for a while; then `renew` knows which were taken over."""
        self._heartbeat.beat()

    def finished(self, job: Job, failure: Failure | None) -> None:
        """The run has its row in the store: it is done, or it failed."""
        self.release(job)
        self.over.add(job.run.id)
        self.failures += failure is not None
        self.watcher.ended(job, failure)

    def failed(self, job: Job, failure: Failure, origin: Mapping[str, Any] | None = None) -> None:
        """Store the row of a run whose process could not.

        `origin` are the columns that say when and where it ran, which `execute` told as it began; without them the run has not begun anywhere.
        """
        try:
            store_failure(job, failure, self.store, origin or {})
        except LeaseLostError:  # another owner's result counts
            self.retry(job)
            return
        self.finished(job, failure)

    def retry(self, job: Job) -> None:
        """Start the run again, before others."""
        self.release(job)
        self.left.insert(0, job)

    def release(self, job: Job) -> None:
        """Give up a run that was stopped; its state is stored, for whichever process continues it."""
        self._heartbeat.release(job.run.id)

    def release_all(self) -> None:
        """Give up all that is still held, as when the engine has ended by an exception."""
        self._heartbeat.release_all()

    def stop(self) -> bool:
        """Whether a failure ends everything."""
        return self.limits.reached(self.failures)

    def has_state(self, job: Job) -> bool:
        """Whether the run can be resumed."""
        return self.store.state_path(job.run.id).exists()

    def device_memory(self, job: Job) -> int | None:
        """Bytes of its device's memory that the run is expected to reserve; None where nothing like it was run."""
        return round(expected(job.run, self._memories, 0.0)) or None

    @cached_property
    def _memories(self) -> Mapping[tuple[str, ...], float]:
        return memories(Snapshot.read(self.store))

    def follow(self, alive: Callable[[], bool]) -> None:
        """Tell the watcher what other processes do of these runs, by the results folder, until all are done, or none is `alive` or works on one."""
        self.followed = True
        seen: dict[str, int] = {}
        begun: set[str] = set()
        while self.left and not self.stop():
            working = self._tell_progress(begun) or alive()  # asked before the rows are read: what was done in between is seen
            changed = _modified(self.results / "runs")
            for job in [job for job in self.left if changed.get(job.run.id) != seen.get(job.run.id)]:
                if job.rest(*self.store.state_of(job.run.id)) is None:
                    self.left.remove(job)
                    self._tell_of(job, here=True)
            seen = changed
            if not working:
                break
            time.sleep(FOLLOW_EVERY if self.left else 0)

    def _tell_progress(self, begun: set[str]) -> bool:
        """Tell the watcher which of these runs other processes have `begun`, and how they get on; whether any is being worked on."""
        leases = self.leases.all()
        working = [(job, leases[job.run.id]) for job in self.left if job.run.id in leases]
        for job, lease in working:
            if job.run.id not in begun:
                begun.add(job.run.id)
                self.watcher.started(job, lease.host)
            if lease.progress is not None:
                self.watcher.progressed(job, *lease.progress[:2])
        return bool(working)

    def _tell_of(self, job: Job, here: bool) -> None:
        """Tell the watcher of a run that another process has done; one that failed there counts as failed. `here`: on behalf of this invocation."""
        self.over.add(job.run.id)
        row, _ = self.store.state_of(job.run.id)
        failure = None if row is None else Failure.from_row(row)
        self.failures += failure is not None
        if here or failure is not None:
            self.watcher.ended(job, failure)
        else:
            self.watcher.left(job)


def _modified(folder: Path) -> dict[str, int]:
    """When each run's row was written."""
    found = {}
    for path in listed(folder, ".parquet"):
        with suppress(FileNotFoundError):  # another process has just removed it
            found[path.stem] = path.stat().st_mtime_ns
    return found
