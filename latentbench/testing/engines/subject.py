"""An engine as its checks see it: it works on small runs in a results folder of its own, and what it does is noted."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import torch

from latentbench.engine import NO_LIMITS, Engine, Limits
from latentbench.engine import Job as AnyJob
from latentbench.errors import UserError
from latentbench.execution.heartbeat import Heartbeat
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.part import Options
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.runner import execute_all
from latentbench.testing.engines.jobs import References, Result, diverging, job
from latentbench.testing.engines.recorded import Log, RecordedWork
from latentbench.testing.law import Effort, InapplicableError, SkippedError

GONE = 3600.0
"""Seconds since its last renewal, of a lease that is stale."""


def ignored(job: AnyJob) -> None:
    """Progress that nothing follows from."""


@dataclass
class Ran:
    """What an engine did: the jobs it was given, the log, what it left, and whether it was interrupted."""

    jobs: Sequence[Job]
    log: Log
    left: list[str]
    interrupted: bool
    folder: TemporaryDirectory[str]
    leases_held: list[str] = field(default_factory=list)

    @property
    def results(self) -> Path:
        """The results folder."""
        return Path(self.folder.name)

    def result(self, job: Job) -> Result | None:
        """What is stored of a run."""
        return Result.of(Store(self.results), job.run.id)


@dataclass(frozen=True)
class Mixed:
    """An engine's work on a folder in which another owner works on one run, and has left another."""

    ran: Ran
    free: Sequence[Job]
    leased: Job
    abandoned: Job
    kept: bool
    """Whether the other owner still has its lease."""


@dataclass(frozen=True)
class EngineSubject:
    """An engine class with options."""

    part: type[Engine]
    options: Options
    effort: Effort
    refusals: list[str] = field(default_factory=list)

    def engine(self, changes: Mapping[str, int] = MappingProxyType({})) -> Engine:
        """The engine; `changes` are options that it has."""
        return self.part(self.part.options_model.model_validate({**self.options.model_dump(), **changes}))

    @property
    def one_at_a_time(self) -> dict[str, int]:
        """The option that has one run executed at a time on CPUs, where the engine has it."""
        return {"cpus": 1} if "cpus" in self.part.options_model.model_fields and self.engine().device == "cpu" else {}

    def check_usable(self) -> None:
        """Make sure that the engine can be used here.

        Raises:
            SkippedError: it cannot, as it says itself, or this is not the main thread, which gets signals.
        """
        if self.refusals:
            raise SkippedError(self.refusals[0])
        if self.engine().device == "cuda" and not torch.cuda.is_available():
            raise SkippedError("this machine has no GPU, on which this process would execute the same runs")
        if threading.current_thread() is not threading.main_thread():
            raise SkippedError("engines are tried in the main thread, which gets signals")
        try:
            self.engine().check()
        except UserError as error:
            raise SkippedError(str(error)) from error

    def check_attached(self) -> None:
        """Make sure that runs end with the engine.

        Raises:
            InapplicableError: runs outlive the process that called `run`.
        """
        if self.part.detached:
            raise InapplicableError("its runs outlive the process that calls `run`")

    @cached_property
    def references(self) -> References:
        """Results of this process alone."""
        return References("cuda:0" if self.engine().device == "cuda" else "cpu")

    def job(self, seed: int, **changes: int) -> Job:
        """A run for the engine's device."""
        return job(seed, device=self.engine().device, **changes)

    def run(
        self,
        jobs: Sequence[Job],
        limits: Limits = NO_LIMITS,
        progress: Callable[[RecordedWork, AnyJob], None] = lambda work, job: None,
        folder: TemporaryDirectory[str] | None = None,
        changes: Mapping[str, int] = MappingProxyType({}),
    ) -> Ran:
        """Have the engine execute jobs, as `latentbench run` does.

        Args:
            jobs: in the order in which they should start.
            limits: of time and failures.
            progress: called in this process when a run makes progress.
            folder: the results folder; else a new one.
            changes: options of the engine.

        Raises:
            SkippedError: it cannot be used here.
        """
        self.check_usable()
        folder = folder or TemporaryDirectory(prefix="latentbench-check-")
        results = Path(folder.name)
        work = RecordedWork(results, jobs, limits, lambda job: progress(work, job))
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            execute_all(self.engine(changes), work, "check", Snapshot.read(Store(results)))
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
        except UserError as error:
            if not self.part.detached:
                raise
            self.refusals.append(f"there is no cluster that takes the runs: {' '.join(str(error).split())[:300]}")
            raise SkippedError(self.refusals[0]) from error
        finally:
            signal.signal(signal.SIGINT, before)
        held = sorted(path.name for path in (results / "leases").glob("*.json")) if (results / "leases").is_dir() else []
        return Ran(jobs, work.log, [job.run.id for job in work.left], interrupted, folder, held)

    @cached_property
    def mixed(self) -> Mixed:
        """Five short runs; another, living owner has leased the second, and one that is gone the fourth."""
        self.check_usable()
        folder = TemporaryDirectory(prefix="latentbench-check-")
        jobs = [self.job(seed) for seed in (1, 2, 3, 4, 5)]
        leases = Path(folder.name) / "leases"
        living = Heartbeat(Leases(leases))  # which renews its lease however long this takes
        living.acquire(jobs[1].run.id, "the kit's")
        Leases(leases).acquire(jobs[3].run.id, "the kit's")
        make_stale(leases, jobs[3].run.id)
        try:
            ran = self.run(jobs, folder=folder)
            return Mixed(ran, [jobs[0], *jobs[2:]], jobs[1], jobs[3], living.leases.renew(jobs[1].run.id))
        finally:
            living.release_all()

    @cached_property
    def failing(self) -> Ran:
        """Six short runs, one at a time where the engine can, with fail_fast: the third fails."""
        jobs = [self.job(6), self.job(7), diverging(self.engine().device), *(self.job(seed) for seed in (8, 9, 10))]
        return self.run(jobs, Limits(fail_fast=True), changes=self.one_at_a_time)


def make_stale(leases: Path, run_id: str) -> None:
    """Let the lease of a run look as if its owner had not renewed it for an hour."""
    for path in leases.glob(f"{run_id}.*.json"):
        at = path.stat().st_mtime - GONE
        os.utime(path, (at, at))


def subject(part: type[Engine], options: Options, effort: Effort) -> EngineSubject:
    """The subject of the checks of engines.

    Raises:
        InapplicableError: these options change nothing of where runs are executed, and how many at a time.
    """
    made, plain = part(options), part(part.options_model())
    if options != part.options_model() and (made.device, made.capacity) == (plain.device, plain.capacity):
        raise InapplicableError(f"it executes runs {made.capacity}, as by default")
    return EngineSubject(part, options, effort)
