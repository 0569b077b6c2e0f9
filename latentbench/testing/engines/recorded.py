"""Work that notes what an engine does with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentbench.engine import Job as AnyJob
from latentbench.engine import Limits
from latentbench.execution.job import Job
from latentbench.execution.work import Work
from latentbench.failure import Failure

PATIENCE = 50
"""Renewals after which a run without progress counts as one that makes some."""
ENDINGS = ("finished", "failed", "retry", "release")


@dataclass
class Log:
    """What happened to runs, in order: (what, run id, seconds by a monotonic clock)."""

    events: list[tuple[str, str, float]] = field(default_factory=list)

    def note(self, what: str, job: AnyJob) -> None:
        """Add an event."""
        self.events.append((what, job.run.id, time.monotonic()))

    def ids(self, *what: str) -> list[str]:
        """The runs of events of some kinds, in order."""
        return [run_id for kind, run_id, _ in self.events if kind in what]

    def times(self, what: str, run_id: str) -> list[float]:
        """When something happened to a run."""
        return [at for kind, found, at in self.events if (kind, found) == (what, run_id)]


class RecordedWatcher:
    """Notes what it is told, and calls `progress` when a run makes progress."""

    def __init__(self, log: Log, progress: Callable[[AnyJob], None]) -> None:
        self.log, self.progress = log, progress

    def started(self, job: AnyJob, where: str) -> None:
        """A run began."""
        self.log.note("started", job)

    def progressed(self, job: AnyJob, step: int, steps: int) -> None:
        """A run is at a step."""
        if step < steps:
            self.progress(job)

    def ended(self, job: AnyJob, failure: Failure | None) -> None:
        """A run is done, or failed."""
        self.log.note("ended", job)

    def left(self, job: AnyJob) -> None:
        """Another invocation has done the run."""
        self.log.note("left", job)


class RecordedWork(Work):
    """The work of a results folder, noting how it is used. `progress` is called, in the engine's process, when a run makes progress."""

    def __init__(self, results: Path, jobs: Sequence[Job], limits: Limits, progress: Callable[[AnyJob], None] = lambda job: None) -> None:
        self.log, self.progress = Log(), progress
        self.renewals: dict[str, int] = {}
        self._inside = 0
        super().__init__(results, jobs, RecordedWatcher(self.log, progress), limits, wait=False)

    @contextmanager
    def _noted(self, what: str, job: Job) -> Iterator[None]:
        """Note a call of the engine, and not those that it leads to."""
        if not self._inside:
            self.log.note(what, job)
        with self._silently():
            yield

    @contextmanager
    def _silently(self) -> Iterator[None]:
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def acquire(self, fits: Callable[[Job], bool] = lambda job: True) -> Job | None:
        """Note which run was acquired."""
        with self._silently():
            job = super().acquire(fits)
        if job is not None:
            self.log.note("acquired", job)
        return job

    def renew(self, job: Job, progress: tuple[int, int, float] | None = None) -> bool:
        """Take many renewals for progress, as of an engine that tells none."""
        self.renewals[job.run.id] = self.renewals.get(job.run.id, 0) + 1
        if self.renewals[job.run.id] == PATIENCE:
            self.progress(job)
        return super().renew(job, progress)

    def finished(self, job: Job, failure: Failure | None) -> None:
        """Note it."""
        with self._noted("finished", job):
            super().finished(job, failure)

    def failed(self, job: Job, failure: Failure, origin: Mapping[str, Any] | None = None) -> None:
        """Note it."""
        with self._noted("failed", job):
            super().failed(job, failure, origin)

    def retry(self, job: Job) -> None:
        """Note it."""
        with self._noted("retry", job):
            super().retry(job)

    def release(self, job: Job) -> None:
        """Note it."""
        with self._noted("release", job):
            super().release(job)
