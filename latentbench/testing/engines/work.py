"""An engine does every run that it may once, in order, and as this process would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from latentbench.execution.job import Job
from latentbench.testing.engines.recorded import ENDINGS
from latentbench.testing.engines.subject import EngineSubject, Ran
from latentbench.testing.law import Effort, Trial, check, holds


@check(
    "device is `cpu` or `cuda`, capacity a few words, and neither needs a run",
    "a capacity that is a number, or a device with a number",
)
def declared(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """What an engine says before it runs anything."""
    engine = subject.engine()
    yield holds(f"device {engine.device!r}", engine.device in ("cpu", "cuda"))
    capacity: object = engine.capacity
    yield holds(f"capacity {capacity!r}", isinstance(capacity, str) and 0 < len(capacity) < 100)


@check(
    "every free run is executed once: acquired, told to the watcher, ended with one of finished, failed, retry and release, stored, and its lease is "
    "gone",
    "a job that is submitted twice, a result that is not waited for, or a lease that is not released",
)
def once(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """Four runs of five; another owner works on the fifth."""
    ran, own = subject.mixed.ran, subject.mixed.free
    counts = Counter((what, run_id) for what, run_id, _ in ran.log.events)
    for job in own:
        result = ran.result(job)
        yield holds(f"{job.label}: stored as {result.status if result else 'nothing'}", result is not None and result.status == "done")
        told = [counts[what, job.run.id] for what in ("started", "ended")]
        yield holds(f"{job.label}: told as started {told[0]} times and as ended {told[1]} times", told == [1, 1])
        if not subject.part.detached:
            acquired, ended = counts["acquired", job.run.id], sum(counts[what, job.run.id] for what in ENDINGS)
            yield holds(f"{job.label}: acquired {acquired} times, ended {ended} times", (acquired, ended) == (1, 1))
    kept = [name for name in ran.leases_held if not name.startswith(subject.mixed.leased.run.id)]
    yield holds(f"leases that are left: {', '.join(kept) or 'none'}", not kept)


@check("runs start in the order of the work, which is longest first", "a stack in place of a queue, or an iteration over a set")
def order(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """The order of acquiring and of starting."""
    subject.check_attached()
    ran, wanted = subject.mixed.ran, [job.run.id for job in subject.mixed.free]
    for what in ("acquired", "started"):
        found = [wanted.index(run_id) for run_id in ran.log.ids(what) if run_id in wanted]
        yield holds(f"runs were {what} in the order {found}, expected {list(range(len(wanted)))}", found == list(range(len(wanted))))


@check(
    "a run that another, living owner has leased is left to it; one whose owner is gone, as its lease was not renewed for a minute, is done",
    "execution of `work.left` without `work.acquire`, or leases that are broken or never taken over",
)
def leases(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """The run that another owner works on, and the one that was abandoned."""
    mixed = subject.mixed
    touched = mixed.leased.run.id in mixed.ran.log.ids("acquired", "started", *ENDINGS)
    yield holds(f"the leased run was {'touched' if touched else 'left alone'}", not touched)
    yield holds(f"the leased run has {'a' if mixed.ran.result(mixed.leased) else 'no'} row", mixed.ran.result(mixed.leased) is None)
    yield holds("the leased run is still to be done", mixed.ran.left == [mixed.leased.run.id])
    yield holds(f"its lease is {'still' if mixed.kept else 'not'} its owner's", mixed.kept)
    done = mixed.ran.result(mixed.abandoned)
    yield holds(f"the abandoned run is {done.status if done else 'not done'}", done is not None and done.status == "done")


def _as_here(subject: EngineSubject, ran: Ran, jobs: Sequence[Job], how: str) -> Iterator[Trial]:
    """Whether the stored results of runs are those of this process."""
    for job in jobs:
        expected = subject.references.result(job)
        difference = expected.difference(ran.result(job))
        yield holds(f"{job.label}, {how}: {difference or 'equal'}", not difference)


@check(
    "a run's model and history are bit for bit those that `execute` gives in this process on one thread, however many runs are executed at a time",
    "another number of threads, a device or a global state that workers share",
)
def results(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """All that the engine did, against this process."""
    yield from _as_here(subject, subject.mixed.ran, subject.mixed.free, subject.engine().capacity)
    yield from _as_here(subject, subject.failing, subject.failing.jobs[:2], subject.engine(subject.one_at_a_time).capacity)


@check(
    "with fail_fast no run is begun after one has failed, and what was not begun is left; a failed run has a row that says why",
    "`work.stop()` that is not asked after each run, or a failure that raises",
)
def fail_fast(subject: EngineSubject, effort: Effort) -> Iterator[Trial]:
    """The third of six runs diverges."""
    ran = subject.failing
    bad = ran.jobs[2]
    result = ran.result(bad)
    yield holds(f"the run that diverges is {result.status if result else 'not stored'}", result is not None and result.status == "failed")
    yield holds(f"it is told to the watcher {len(ran.log.times('ended', bad.run.id))} times", len(ran.log.times("ended", bad.run.id)) == 1)
    if not subject.part.detached:
        at = min(ran.log.times("ended", bad.run.id), default=0.0)
        later = [run_id for what, run_id, when in ran.log.events if what == "acquired" and when > at]
        yield holds(f"{len(later)} runs were begun after it failed", not later)
    begun = set(ran.log.ids("started"))
    untold = [job.label for job in ran.jobs if job.run.id not in begun and job.run.id not in ran.left]
    yield holds(f"runs that were neither begun nor left: {', '.join(untold) or 'none'}", not untold)
