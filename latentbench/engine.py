"""The local engine: one process a run, as many at a time as there are slots, out of a fork server that has torch imported.

Runs are taken by leases, so several invocations on one results folder share them. A process that dies is a run that is tried again from its last
saved state, and after some times a row of failure; whatever happens to one run, the others go on.
"""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from latentbench.errors import UserError
from latentbench.execute import SAVE_EVERY, InterruptedRunError, Job, described, execute, provenance
from latentbench.leases import TOUCH_EVERY, Leases
from latentbench.registry import load_registry
from latentbench.settings import Run
from latentbench.store import EVALUATION_FAILED, Store

SLOW_IMPORT = "torch._dynamo"
"""What the first optimiser of a process imports, in two seconds."""
REPORT_EVERY = 0.2
"""Seconds between two reports of a run's progress."""
GRACE = 60.0
"""Seconds that a run has to save its state when it is asked to stop."""
POLL_EVERY = 1.0
"""Seconds between two looks at runs that others work on."""
ATTEMPTS = 3
"""How often a run is started whose process is killed."""
STOPPED = 75
"""Exit code of a run's process that was asked to stop and has saved its state."""


class Watcher(Protocol):
    """Who is told how the runs go."""

    def started(self, job: Job, device: str) -> None:
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


@dataclass
class _Worker:
    job: Job
    slot: str
    process: BaseProcess
    connection: Connection
    began: float = field(default_factory=time.monotonic)
    touched: float = field(default_factory=time.monotonic)
    progress: tuple[int, int, float] | None = None
    asked_to_stop: float | None = None
    timed_out: bool = False


class LocalEngine:
    """Runs jobs in processes of this machine.

    Args:
        results: the results folder.
        slots: where runs may be, one at a time each: `cpu`, or `cuda:N`.
        watcher: told how the runs go.
        needed: what is still to do of a job, by what the store now has: the job, a smaller one, or None.
        limits: of time, failures, and of what may be lost.
    """

    def __init__(
        self, results: Path, slots: Sequence[str], watcher: Watcher, needed: Callable[[Job], Job | None], limits: Limits = NO_LIMITS
    ) -> None:
        self.store, self.watcher, self.needed, self.limits = Store(results), watcher, needed, limits
        self.leases = Leases(results / "leases")
        self.free = list(slots)
        self.queue: list[Job] = []
        self.running: list[_Worker] = []
        self.attempts: dict[str, int] = {}
        self.failed = 0
        self.context = mp.get_context("forkserver")
        plugins = [module.__name__ for module in load_registry().modules.values()]
        self.context.set_forkserver_preload(["latentbench.engine", SLOW_IMPORT, *plugins])

    def run(self, jobs: Sequence[Job]) -> int:
        """Run all jobs, or wait until another invocation has; return how many failed here.

        Ctrl-C, or SIGTERM, asks the running ones to save their state and stop; a second one kills them.
        """
        self.queue = list(jobs)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: a KeyboardInterrupt
        try:
            while self.queue or self.running:
                self._fill()
                if self.running:
                    wait([worker.connection for worker in self.running], timeout=POLL_EVERY)
                elif self.queue:
                    time.sleep(POLL_EVERY)  # all that is left is others' work
                for worker in list(self.running):
                    self._look_after(worker)
                if self.failed and self.limits.fail_fast:
                    self.queue.clear()
                    self._stop_all()
        finally:
            self._stop_all()
        return self.failed

    def _fill(self) -> None:
        """Start what can be started in free slots; runs that others have leased wait."""
        waiting: list[Job] = []
        while self.queue and self.free:
            job = self.queue.pop(0)
            if not self.leases.take(job.run.id, describe(job.run)):
                waiting.append(job)
                continue
            wanted = self.needed(job)
            if wanted is None:
                self.leases.give_back(job.run.id)
                self.watcher.left(job)
                continue
            self._start(wanted, self.free.pop(0))
        self.queue += waiting

    def _start(self, job: Job, slot: str) -> None:
        ours, theirs = self.context.Pipe(duplex=False)
        arguments = (job, self.store.path, slot, theirs, self.limits.save_every)
        process = self.context.Process(target=work, args=arguments, daemon=True)
        process.start()
        theirs.close()
        self.running.append(_Worker(job, slot, process, ours))
        self.attempts[job.run.id] = self.attempts.get(job.run.id, 0) + 1
        self.watcher.started(job, slot)

    def _look_after(self, worker: _Worker) -> None:
        """Take in what a worker has said; keep its lease; end it where its time is up."""
        ended, failure = self._listen(worker)
        if ended:
            self._end(worker, failure)
            return
        now = time.monotonic()
        if now - worker.touched > TOUCH_EVERY:
            worker.touched = now
            if not self.leases.touch(worker.job.run.id, worker.progress):  # taken over, as when this machine slept: the other's results count
                worker.process.kill()
                worker.process.join()
                self.running.remove(worker)
                self.free.append(worker.slot)
                self.queue.append(worker.job)
                return
        limit = self.limits.seconds
        if limit is not None and worker.asked_to_stop is None and now - worker.began > limit:
            worker.timed_out, worker.asked_to_stop = True, now
            worker.process.terminate()
        elif worker.asked_to_stop is not None and now - worker.asked_to_stop > GRACE:
            worker.process.kill()

    def _listen(self, worker: _Worker) -> tuple[bool, str | None]:
        """What a worker has said: whether it ended, and with which failure."""
        while worker.connection.poll():
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join()
                return True, None if worker.process.exitcode == STOPPED else self._how_it_died(worker)
            if message[0] == "progress":
                step, steps, first = message[1:]
                worker.progress = step, steps, (step - first) / max(time.monotonic() - worker.began, 1e-9)
                self.watcher.progressed(worker.job, step, steps)
            else:
                worker.process.join()
                return True, message[1]
        return False, None

    def _how_it_died(self, worker: _Worker) -> str:
        code = worker.process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"killed: process ended with {how}"

    def _end(self, worker: _Worker, failure: str | None) -> None:
        """Give back a worker's slot and lease; a killed run is tried again, a timeout or the last kill is a row."""
        self.running.remove(worker)
        self.free.append(worker.slot)
        job, stopped = worker.job, worker.process.exitcode == STOPPED
        killed = failure is not None and failure.startswith("killed: ")
        if worker.timed_out and (stopped or killed):
            failure = f"timeout: over {self.limits.seconds:g} s; its state is stored, and --retry timeout goes on from it"
            self._store_failure(worker, failure)
        elif killed and self.attempts[job.run.id] < ATTEMPTS:
            self.leases.give_back(job.run.id)
            self.queue.insert(0, job)
            return
        elif killed:
            self._store_failure(worker, str(failure))
        self.leases.give_back(job.run.id)
        if stopped and not worker.timed_out:
            return
        self.failed += failure is not None
        self.watcher.ended(job, failure)

    def _store_failure(self, worker: _Worker, failure: str) -> None:
        """The row of a run whose process ended without writing one."""
        kind, _, message = failure.partition(": ")
        run = worker.job.run
        if worker.job.trained:
            self.store.update_run(run.id, {"failure_kind": EVALUATION_FAILED, "failure_message": failure})
        else:
            row = {**described(run), **provenance("cpu"), "status": "failed", "failure_kind": kind, "failure_message": message}
            self.store.write_rows("runs", run.id, [row])

    def _stop_all(self) -> None:
        """Ask the running ones to save their state and stop; kill those that do not in time, or at a second Ctrl-C."""
        for worker in self.running:
            worker.process.terminate()
        with suppress(KeyboardInterrupt):
            deadline = time.monotonic() + GRACE
            for worker in self.running:
                worker.process.join(max(0.0, deadline - time.monotonic()))
        for worker in self.running:
            worker.process.kill()
            worker.process.join()
            self.leases.give_back(worker.job.run.id)
        self.running.clear()


def describe(run: Run) -> str:
    """A run in a few words."""
    networks = "|".join(name for name in (run.encoder, run.decoder) if name)
    return " ".join(word for word in (run.family, run.estimator, run.dataset, networks, f"seed {run.seed}") if word)


def work(job: Job, results: Path, slot: str, connection: Connection, save_every: float) -> None:
    """What a run's process does. Its output goes to the run's log."""
    os.setsid()  # Ctrl-C goes to the parent's session, which asks this process to stop
    die_with_parent()
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    store = Store(results)
    _write_to(store.log_path(job.run.id))
    last, first = 0.0, -1

    def report(step: int, steps: int) -> None:
        nonlocal last, first
        first = step if first < 0 else first
        stop.in_training = step < steps
        if step == steps or time.monotonic() - last > REPORT_EVERY:
            last = time.monotonic()
            _tell(connection, ("progress", step, steps, first))

    try:
        outcome = execute(job, load_registry(), store, use(slot), report, stop.wanted, save_every)
    except InterruptedRunError:
        os._exit(STOPPED)
    _tell(connection, ("done", outcome))


class _Stop:
    """The handler of SIGTERM. A run that trains saves its state first; one that loads or evaluates, which is done again, ends at once."""

    def __init__(self) -> None:
        self.asked = self.in_training = False

    def __call__(self, number: int, frame: Any) -> None:
        self.asked = True
        if not self.in_training:
            os._exit(STOPPED)

    def wanted(self) -> bool:
        return self.asked


def use(slot: str) -> str:
    """Make the slot's GPU the only one that this process sees, before CUDA is touched; return the device's name here.

    Slots count the GPUs that the engine sees, which CUDA_VISIBLE_DEVICES may have chosen already.
    """
    kind, _, number = slot.partition(":")
    if kind != "cuda":
        return slot
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[int(number)] if visible else number
    return "cuda:0"


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the fork server ends, which ends with the engine (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _write_to(path: Path) -> None:
    """Append standard output and error of this process to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _tell(connection: Connection, message: tuple[Any, ...]) -> None:
    """Send a message to the engine; where it has gone, nobody waits for this run, and it ends."""
    try:
        connection.send(message)
    except BrokenPipeError:
        sys.exit(0)


def cpu_slots(workers: int | None) -> list[str]:
    """`workers` CPU slots; by default as many as there are cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ["cpu"] * (workers or cores or 1)


def gpu_slots(wanted: Sequence[int], per_gpu: int = 1) -> list[str]:
    """`per_gpu` slots for each of the wanted GPUs.

    Raises:
        UserError: this machine does not have one of them.
    """
    import torch

    count = torch.cuda.device_count()
    missing = [gpu for gpu in wanted if gpu >= count]
    if missing:
        has = f"GPUs 0 to {count - 1}" if count > 1 else "GPU 0 only" if count else "no CUDA GPU"
        raise UserError(f"--gpus {','.join(map(str, missing))}: not on this machine, which has {has}")
    return [f"cuda:{gpu}" for _ in range(per_gpu) for gpu in wanted]
