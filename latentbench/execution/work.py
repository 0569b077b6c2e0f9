"""What an engine is given: runs that are to be done in a results folder, which it shares with others.

A run is taken by its lease, which is kept as long as this process lives, and given back when it is done, when its process was killed, or when it was
asked to stop. Whoever takes it looks once more what of it is still to do. What became of a run is learnt from the store, and nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from latentbench.execution.execute import SAVE_EVERY, described
from latentbench.execution.heartbeat import Heartbeat, Steps
from latentbench.execution.job import Job
from latentbench.execution.leases import LeaseLostError, Leases
from latentbench.files import listed
from latentbench.results.store import EVALUATION_FAILED, Store

FOLLOW_EVERY = 2.0
"""Seconds between two looks at a results folder where others work."""


class Watcher(Protocol):
    """Who is told how the runs go."""

    def started(self, job: Job, where: str) -> None:
        """A run began."""

    def progressed(self, job: Job, step: int, steps: int) -> None:
        """A run got on."""

    def ended(self, job: Job, failure: str | None) -> None:
        """A run is done, or failed with `failure`."""

    def left(self, job: Job) -> None:
        """Another invocation has done the run."""


@dataclass(frozen=True)
class Limits:
    """How an engine treats its runs: seconds that one may take, whether the first failure ends the suite, and seconds between savings of states."""

    seconds: float | None = None
    fail_fast: bool = False
    save_every: float = SAVE_EVERY


NO_LIMITS = Limits()


class Work:
    """Jobs of one invocation, in the order in which they should start: `left` to be taken, `cancelled`, and the ids of runs that are `over`.

    `compacting` says that the last `take` found nothing as the folder is being compacted: runs wait until that has ended.

    Args:
        results: the results folder.
        jobs: what is to be done.
        watcher: told how the runs go.
        limits: of time, failures, and of what may be lost.
        wait: whether runs that others work on are waited for, as they may die, or left to them.
    """

    def __init__(self, results: Path, jobs: Sequence[Job], watcher: Watcher, limits: Limits = NO_LIMITS, wait: bool = True) -> None:
        self.results, self.watcher, self.limits, self.wait = results, watcher, limits, wait
        self.leases = Leases(results / "leases")
        self.store = Store(results, fence=self.leases.check)
        self.left = list(jobs)
        self.over: set[str] = set()
        self.cancelled: list[Job] = []
        self.asked: Callable[[Job], bool] = lambda job: True
        self.failed = 0
        self.compacting = False
        self.followed = False
        self._heartbeat = Heartbeat(self.leases)

    def take(self, fits: Callable[[Job], bool] = lambda job: True) -> Job | None:
        """Lease the first run that fits and that nobody works on; None where there is none at the moment.

        It is removed from `left`, as are runs that turn out to be done already, and those that are not `asked` for any more. Who takes a run calls
        `keep` now and then, and in the end `end`, `fail`, `give_up` or `put_back`.
        """
        fitting = [job for job in self.left if fits(job)]
        self.compacting = bool(fitting) and self.leases.compacting()
        if self.compacting:
            return None
        others = self.leases.busy() if fitting else set()
        for job in fitting:
            if job.run.id in others:
                continue
            if not self.asked(job):
                self._drop(job)
                continue
            if not self.leases.take(job.run.id, job.label):
                self.compacting = self.leases.compacting()
                continue
            self._heartbeat.begin(job.run.id)
            self.left.remove(job)
            wanted = job.rest(*self.store.state_of(job.run.id))
            if wanted is not None:
                return wanted
            self._give_back(job.run.id)
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

    def keep(self, job: Job, progress: Steps | None = None) -> bool:
        """Say how far the run is, for those who ask for the status; costs nothing.

        False: somebody has taken it over, whose results count, as when this machine slept for long.
        """
        return self._heartbeat.tell(job.run.id, progress)

    def wake(self) -> None:
        """Look at once whether others have taken runs over, as after this process was stopped for a while; then `keep` knows."""
        self._heartbeat.beat()

    def end(self, job: Job, failure: str | None) -> None:
        """The run has its row in the store: it is done, or failed with `failure`."""
        self._give_back(job.run.id)
        self.over.add(job.run.id)
        self.failed += failure is not None
        self.watcher.ended(job, failure)

    def fail(self, job: Job, kind: str, message: str, origin: Mapping[str, Any] | None = None) -> None:
        """Store the row of a run whose process could not.

        `origin` are the columns that say when and where it ran, which `execute` told as it began; without them the run has not begun anywhere. The
        last line of `message` is shown.
        """
        row = {**described(job.run), **(origin or {}), "status": "failed", "failure_kind": kind, "failure_message": message}
        try:
            if job.trained:
                self.store.update_run(job.run.id, {"failure_kind": EVALUATION_FAILED, "failure_message": f"{kind}: {message}"})
            else:
                self.store.write_rows("runs", job.run.id, [row])
        except LeaseLostError:  # another owner's result counts
            self.put_back(job)
            return
        self.end(job, f"{kind}: {message.strip().splitlines()[-1]}")

    def put_back(self, job: Job) -> None:
        """The run is to be tried again, before others."""
        self._give_back(job.run.id)
        self.left.insert(0, job)

    def give_up(self, job: Job) -> None:
        """The run was stopped; its state is stored, for whoever goes on with it."""
        self._give_back(job.run.id)

    def let_go(self) -> None:
        """Give back all that is still held, as when the engine has ended by an exception."""
        for run_id in self._heartbeat.held():
            self._heartbeat.end(run_id)
        self.leases.give_back_all()

    def stop(self) -> bool:
        """Whether a failure ends everything."""
        return self.limits.fail_fast and self.failed > 0

    def follow(self, alive: Callable[[], bool]) -> None:
        """Tell the watcher what others do of these runs, out of the results folder, until all are done, or nobody is `alive` or works on one."""
        self.followed = True
        seen: dict[str, int] = {}
        begun: set[str] = set()
        while self.left and not self.stop():
            leases = self.leases.all()
            last = not alive() and not any(job.run.id in leases for job in self.left)  # asked before looking: what was done in between is seen
            for run_id, lease in leases.items():
                for job in (job for job in self.left if job.run.id == run_id):
                    if run_id not in begun:
                        begun.add(run_id)
                        self.watcher.started(job, lease.host)
                    if lease.progress is not None:
                        self.watcher.progressed(job, *lease.progress[:2])
            changed = _modified(self.results / "runs")
            for job in [job for job in self.left if changed.get(job.run.id) != seen.get(job.run.id)]:
                if job.rest(*self.store.state_of(job.run.id)) is None:
                    self.left.remove(job)
                    self._tell_of(job, here=True)
            seen = changed
            if last:
                break
            time.sleep(FOLLOW_EVERY if self.left else 0)

    def _give_back(self, run_id: str) -> None:
        self._heartbeat.end(run_id)
        self.leases.give_back(run_id)

    def _tell_of(self, job: Job, here: bool) -> None:
        """Tell the watcher of a run that another process has done; one that failed there counts as failed. `here`: on behalf of this invocation."""
        self.over.add(job.run.id)
        failure = (self.store.state_of(job.run.id)[0] or {}).get("failure_kind")
        self.failed += failure is not None
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
