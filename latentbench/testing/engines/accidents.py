"""An engine outlives killed processes, leases that are lost, time limits and Ctrl-C, and nothing half done is stored."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from latentbench.engine import Job as AnyJob
from latentbench.engine import Limits
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.failure import FailureKind
from latentbench.results.store import Store
from latentbench.testing.engines.jobs import MEDIUM
from latentbench.testing.engines.processes import busiest, descendants
from latentbench.testing.engines.recorded import RecordedWork
from latentbench.testing.engines.subject import EngineSubject, Ran, make_stale
from latentbench.testing.law import Effort, InapplicableError, Trial, check, holds

SAVING = Limits(save_every=0.2)
SECONDS, LONG = 4.0, 20.0
"""A time limit, and for how long a run would compute without."""
STOPS_WITHIN = 60.0


@dataclass
class Once:
    """Does something at the first progress of a run."""

    act: Callable[[RecordedWork, AnyJob], None]
    done: bool = field(default=False)

    def __call__(self, work: RecordedWork, job: AnyJob) -> None:
        """Act at the first call."""
        if not self.done:
            self.done = True
            self.act(work, job)


@check(
    "a run that takes longer than the time limit is stopped and has a row of the kind `timeout`; runs within it are done",
    "a limit of the whole suite in place of each run, or a process that is stopped without a row",
)
def time_limit(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """A run of about 20 seconds, and a short one, within 4."""
    subject.check_usable()
    speed = _speed(subject)
    long, short = subject.job(11, steps=max(MEDIUM, int(LONG * speed))), subject.job(12)
    start = time.monotonic()
    ran = subject.run([long, short], Limits(seconds=SECONDS, save_every=60.0))
    took = time.monotonic() - start
    result, quick = ran.result(long), ran.result(short)
    found = f"{result.status} ({result.failure})" if result else "not stored"
    yield holds(f"the long run is {found} after {took:.0f} s", result is not None and result.failure == FailureKind.TIMEOUT)
    slow = quick is not None and quick.failure == FailureKind.TIMEOUT and quick.seconds >= SECONDS  # on a machine that is busy
    what = f"{quick.status} after {quick.seconds:.1f} s" if quick else "not stored"
    yield holds(f"the short run is {what}", quick is not None and (quick.status == "done" or slow))


def _speed(subject: EngineSubject) -> float:
    """Steps a second of this process."""
    wanted = subject.job(13, steps=MEDIUM)
    start = time.monotonic()
    subject.references.result(wanted)
    return MEDIUM / (time.monotonic() - start)


@check(
    "a run whose process is killed is tried again, with the same result, or stored as failed of the kind `killed`; other runs are not touched",
    "an exception of a broken pool that ends everything, or a result that is waited for for ever",
)
def killed(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """SIGKILL to the process that computes, at the first progress of the first run."""
    subject.check_attached()
    subject.check_usable()
    before, victims = set(descendants()), []

    def kill(work: RecordedWork, job: AnyJob) -> None:
        victim = busiest(before)
        if victim is not None:
            with suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
                victims.append(victim.pid)

    jobs = [subject.job(13, steps=MEDIUM), subject.job(14)]
    ran = subject.run(jobs, SAVING, Once(kill))
    if not victims:
        raise InapplicableError("it executes runs in the process that calls `run`")
    for job in jobs:
        result = ran.result(job)
        if result is not None and result.failure == FailureKind.KILLED:
            yield holds(f"{job.label}: stored as killed", job is jobs[0])
            continue
        difference = subject.references.result(job).difference(result)
        yield holds(f"{job.label}: {difference or 'equal to a run that was not disturbed'}", not difference)
    yield holds(f"runs that are left: {len(ran.left)}", not ran.left)


@check(
    "a run whose lease another owner has taken over is stopped, and nothing of it is stored any more",
    "`work.renew` that is not asked, or whose False is not heeded",
)
def taken_over(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """Another owner takes over the first run when it makes progress, as after this machine has slept."""
    subject.check_attached()
    jobs, thieves = [subject.job(13, steps=MEDIUM), subject.job(14)], []

    def steal(work: RecordedWork, job: AnyJob) -> None:
        if job.run.id == jobs[0].run.id:
            thief = Leases(work.results / "leases")
            make_stale(work.results / "leases", job.run.id)
            if thief.acquire(job.run.id, "the kit's"):
                thieves.append(thief)
            work.renew_all()

    ran = subject.run(jobs, SAVING, lambda work, job: None if thieves else steal(work, job))
    yield holds(f"the lease was taken over {len(thieves)} times at the first progress", thieves)
    result, other = ran.result(jobs[0]), ran.result(jobs[1])
    yield holds(f"the run that was taken over is {result.status if result else 'not stored'}", result is None)
    wrong = [what for what, run_id, _ in ran.log.events if run_id == jobs[0].run.id and what in ("finished", "failed")]
    yield holds(f"it was said to be {', '.join(wrong) or 'neither finished nor failed'}", not wrong)
    yield holds(f"its lease is {'still' if _owned(thieves, jobs[0].run.id) else 'not'} the other owner's", _owned(thieves, jobs[0].run.id))
    yield holds(f"the other run is {other.status if other else 'not stored'}", other is not None and other.status == "done")


def _owned(thieves: list[Leases], run_id: str) -> bool:
    return bool(thieves) and thieves[0].renew(run_id)


@check(
    "Ctrl-C ends `run` with KeyboardInterrupt within a minute: runs save their state, no process, lease or temporary file is left, and the same work "
    "later gives what it would have given",
    "a KeyboardInterrupt that is swallowed, children that live on, or runs that are killed before they have saved",
)
def interrupted(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """SIGINT at the first progress of a run; then the engine is given the work again."""
    subject.check_attached()
    subject.check_usable()
    jobs, before = [subject.job(13, steps=MEDIUM), subject.job(14)], set(descendants())
    ran, took, run_id = _interrupted(subject, jobs)
    yield holds(f"it {'ended with KeyboardInterrupt' if ran.interrupted else 'went on'}", ran.interrupted)
    yield holds(f"it ended {took:.0f} s after the signal", took < STOPS_WITHIN)
    alive = _left_after(before, 5.0)
    yield holds(f"{len(alive)} of its processes live on", not alive)
    yield holds(f"leases that are left: {', '.join(ran.leases_held) or 'none'}", not ran.leases_held)
    temporary = [path.name for path in ran.results.rglob(".*.tmp")]
    yield holds(f"temporary files that are left: {', '.join(temporary[:3]) or 'none'}", not temporary)
    ended = [job for job in jobs if job.run.id == run_id and ran.result(job) is not None]
    yield holds("the run has ended, or its state was saved", ended or Store(ran.results).state_path(run_id).exists())
    later = subject.run([job for job in jobs if ran.result(job) is None], SAVING, folder=ran.folder)
    for job in jobs:
        difference = subject.references.result(job).difference(later.result(job))
        yield holds(f"{job.label}, continued: {difference or 'equal to a run that was not interrupted'}", not difference)


def _interrupted(subject: EngineSubject, jobs: list[Job]) -> tuple[Ran, float, str]:
    """Work that a signal interrupts, the seconds from there to its end, and the run that had made progress."""
    sent: list[float] = []
    running: list[str] = []
    over = threading.Event()

    def interrupt() -> None:
        if not over.is_set():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

    def soon(work: RecordedWork, job: AnyJob) -> None:
        running.append(job.run.id)
        threading.Timer(0.1, interrupt).start()

    ran = subject.run(jobs, SAVING, Once(soon))
    over.set()
    if not sent:
        raise InapplicableError("its runs ended before they could be interrupted")
    return ran, time.monotonic() - sent[0], running[0]


def _left_after(before: set[int], seconds: float) -> set[int]:
    """The processes that are left, of those that were not there `before`, after some seconds at most."""
    deadline = time.monotonic() + seconds
    while (left := set(descendants()) - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left
