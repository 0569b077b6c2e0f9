"""Engines that are wrong in one way each are found by the check that names it; a correct one in this process passes all that apply."""

import signal
import time
from dataclasses import replace

import pytest

from latentbench.api.engines import Control, Engine, Failure, FailureKind, InterruptedRunError, LeaseLostError, UserError, execute, load_registry
from latentbench.execution import execute as execution
from latentbench.testing import examine


class TimeUpError(Exception):
    """A run took too long."""


class Right(Engine):
    """Runs one after another in this process."""

    name = "right"
    device = "cpu"
    capacity = "one after another"

    def run(self, work):
        self.interrupted = False
        before = signal.signal(signal.SIGINT, self.interrupt)
        try:
            while not work.stop() and not self.interrupted and (job := self.next(work)) is not None:
                self.one(work, job)
        finally:
            signal.signal(signal.SIGINT, before)
        if self.interrupted:
            raise KeyboardInterrupt

    def interrupt(self, number, frame):
        self.interrupted = True

    def next(self, work):
        return work.acquire()

    def one(self, work, job):
        work.watcher.started(job, "here")
        began, limit = time.monotonic(), work.limits.seconds

        def report(step, steps):
            work.watcher.progressed(job, step, steps)
            if not work.renew(job, (step, steps, 1.0)):
                raise LeaseLostError("another owner has it")
            if limit is not None and time.monotonic() - began > limit:
                raise TimeUpError

        control = Control(report, lambda: self.interrupted, work.limits.save_every, (TimeUpError,))
        try:
            failure = execute(job, load_registry(), work.store, self.device, control)
        except LeaseLostError:
            work.retry(job)
        except InterruptedRunError:
            work.release(job)
        except TimeUpError:
            work.failed(job, Failure(FailureKind.TIMEOUT, f"over {limit} s"))
        else:
            work.finished(job, failure)


class Device(Right):
    device = "cpu:0"


class Twice(Right):
    def one(self, work, job):
        super().one(work, job)
        work.left.append(job)
        work.watcher.started(job, "here")
        work.left.remove(job)


class KeepsLeases(Right):
    def one(self, work, job):
        work._heartbeat.release = lambda run_id: None
        work.release_all = lambda: None
        super().one(work, job)


class DropsTheLast(Right):
    def next(self, work):
        return work.acquire() if len(work.left) > 2 else None


class LastFirst(Right):
    def next(self, work):
        work.left.reverse()
        job = work.acquire()
        work.left.reverse()
        return job


class WithoutLeases(Right):
    """Takes what is left, whoever works on it."""

    def next(self, work):
        for path in (work.results / "leases").glob("*.json"):
            path.unlink()
        return work.acquire()


class NeverTakesOver(Right):
    def next(self, work):
        known = {path.name.partition(".")[0] for path in (work.results / "leases").glob("*.json")}
        return work.acquire(lambda job: job.run.id not in known)


class OtherSeed(Right):
    def one(self, work, job):
        with pytest.MonkeyPatch.context() as patch:
            build = execution.build_model
            patch.setattr(execution, "build_model", lambda assembly, seed, **settings: build(assembly, seed + 1, **settings))
            super().one(work, job)


class GoesOnAfterFailures(Right):
    def run(self, work):
        work.stop = lambda: False
        super().run(work)


class NoTimeLimit(Right):
    def one(self, work, job):
        work.limits = replace(work.limits, seconds=None)
        super().one(work, job)


class IgnoresThatItsLeaseIsLost(Right):
    def one(self, work, job):
        renew = work.renew
        work.renew = lambda job, progress=None: bool(renew(job, progress)) or True
        work.store.fence = lambda run_id: None
        super().one(work, job)


class SwallowsCtrlC(Right):
    def interrupt(self, number, frame):
        pass


class DiesAtOnce(Right):
    """Ctrl-C ends it before the run has saved its state."""

    def interrupt(self, number, frame):
        raise KeyboardInterrupt


QUICK = {
    Device: "declared",
    Twice: "once",
    KeepsLeases: "once",
    DropsTheLast: "once",
    LastFirst: "order",
    WithoutLeases: "leases",
    NeverTakesOver: "leases",
    GoesOnAfterFailures: "fail_fast",
}
SLOW = {
    OtherSeed: "results",
    NoTimeLimit: "time_limit",
    IgnoresThatItsLeaseIsLost: "taken_over",
    SwallowsCtrlC: "interrupted",
    DiesAtOnce: "interrupted",
}
PLANTED = [pytest.param(wrong, check, id=f"{wrong.__name__}-{check}") for wrong, check in QUICK.items()]
PLANTED += [pytest.param(wrong, check, id=f"{wrong.__name__}-{check}", marks=pytest.mark.slow) for wrong, check in SLOW.items()]


@pytest.mark.parametrize(("wrong", "check"), PLANTED)
def test_a_planted_fault_is_found_by_the_check_that_names_it(wrong, check):
    (finding,) = examine(wrong, only=[check]).findings
    assert finding.status == "failed", finding
    assert not any("it raised" in text for text in finding.broken), finding.broken


@pytest.mark.slow
def test_a_correct_engine_passes_every_check_that_applies():
    report = examine(Right)
    assert {finding.check for finding in report.findings if finding.status != "passed"} == {"killed"}, report.text()
    (killed,) = [finding for finding in report.findings if finding.check == "killed"]
    assert (killed.status, killed.reason) == ("inapplicable", "it executes runs in the process that calls `run`")


class Absent(Right):
    def check(self):
        raise UserError("this machine has no sbatch")


def test_an_engine_that_cannot_be_used_here_is_skipped_with_its_own_reason():
    report = examine(Absent, only=["declared", "once", "interrupted"])
    assert report.counts == {"passed": 1, "skipped": 2}
    assert report.findings[1].reason == "this machine has no sbatch"


class Refused(Right):
    """Pilots that the cluster does not take."""

    detached = True

    def run(self, work):
        raise UserError("sbatch refused the pilots")


def test_pilots_without_a_cluster_are_skipped_and_what_outlives_the_engine_is_inapplicable():
    findings = {finding.check: finding for finding in examine(Refused).findings}
    assert findings["once"].status == findings["time_limit"].status == "skipped"
    assert findings["once"].reason == "there is no cluster that takes the runs: sbatch refused the pilots"
    assert {name for name, finding in findings.items() if finding.status == "inapplicable"} == {"order", "killed", "taken_over", "interrupted"}


@pytest.mark.slow
def test_an_engine_with_processes_of_its_own_has_one_killed():
    engine = load_registry().parts["engines"]["local"]
    (finding,) = examine(engine, engine.options_model(), only=["killed"]).findings
    assert finding.status == "passed", finding
    assert finding.comparisons == 3
