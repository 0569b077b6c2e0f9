"""A pool of processes, one a run.

A process that dies is a run that is tried again from its last saved state, and after some attempts a row of failure; whatever happens to one run, the
others continue.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from multiprocessing.connection import wait
from types import FrameType

from latentbench.api.engines import Failure, FailureKind, Job, StoringError, UserError, Work
from latentbench_local.fork_server import BLOCKED, ForkServer
from latentbench_local.messages import Began, CannotStore, Done, Lost, Memory, OtherCode, OutOfMemory, Progressed
from latentbench_local.packing import Packing
from latentbench_local.processes import CONTEXT, execute_in_process
from latentbench_local.signals import deaf_to, deferred, handled, heeded, stopped_by
from latentbench_local.worker import Died, Worker

GRACE = 60.0
"""Seconds that a run has to save its state when it is asked to stop."""
POLL_EVERY = 1.0
"""Seconds between two polls of runs that other processes work on."""
ATTEMPTS = 3
"""How often a run is started whose process is killed."""
STOPPING = (signal.SIGTERM, signal.SIGHUP)
"""What asks the engine to stop, besides Ctrl-C."""
PAUSING = (signal.SIGTSTP,)
"""What asks it to pause: Ctrl-Z."""

Ending = Done | OutOfMemory | Lost | Died
"""How a process ends."""


class Pool:
    """The processes of one invocation, on the places that there are."""

    def __init__(self, work: Work[Job], places: Packing) -> None:
        self.work, self.places, self.server = work, places, ForkServer()
        self.running: list[Worker] = []
        self.attempts: Counter[str] = Counter()
        self.pause_asked = False

    def run(self) -> None:
        """Run all jobs, or wait until other processes have."""
        work = self.work
        with stopped_by(STOPPING), handled(heeded(PAUSING), self._ask_to_pause):
            try:
                while work.left or self.running:
                    self._fill()
                    if self.running:
                        wait([worker.connection for worker in self.running], timeout=POLL_EVERY)
                    elif work.left and not work.wait:
                        break
                    elif work.left:
                        time.sleep(POLL_EVERY)  # other processes work on all that is left
                    for worker in list(self.running):
                        self._attend(worker)
                    if work.stop():
                        break
                    if self.pause_asked:
                        self._pause()
            finally:
                self._stop_all()

    def _fill(self) -> None:
        """Start what there is room for."""
        while self.work.left:
            self.server.wait()
            with deferred(BLOCKED):  # a run that is acquired has its process, or was not begun
                job = self.work.acquire(lambda job: self.places.room(self._need(job)) is not None)
                if job is None:
                    return
                self._start(job)

    def _need(self, job: Job) -> int | None:
        """Bytes of a GPU that the run is expected to take, where that decides about its place."""
        reserved = self.work.device_memory(job) if self.places.measures else None
        return None if reserved is None else reserved + CONTEXT

    def _start(self, job: Job) -> None:
        need = self._need(job)
        device = str(self.places.room(need))
        ours, theirs = self.server.context.Pipe(duplex=False)
        try:
            process = self.server.start(execute_in_process, job, self.work.results, self.work.owner, device, theirs, self.work.limits.save_every)
        except (EOFError, OSError) as error:
            ours.close()
            if self.server.gone:
                self.work.failed(job, Failure(FailureKind.KILLED, f"its process could not be started: {error!r}"))
            else:
                self.work.retry(job)
            return
        finally:
            theirs.close()
        self.attempts[job.run.id] += 1
        self.places.enter(job.run.id, device, need)
        self.running.append(Worker(job, process, ours))
        self.work.watcher.started(job, device)

    def _attend(self, worker: Worker) -> None:
        """Take in what a worker has said; end it where its time is up, or where another process has taken its run over."""
        ending, limit, now = self._listen(worker), self.work.limits.seconds, time.monotonic()
        if ending is None and not self.work.renew(worker.job, worker.progress):
            ending = Lost()
        if ending is not None:
            self._end(worker, ending)
        elif worker.asked_to_stop is None and limit is not None and now - worker.began > limit:
            worker.time_out()
        elif worker.asked_to_stop is not None and now - worker.asked_to_stop > GRACE:
            worker.process.kill()

    def _listen(self, worker: Worker) -> Ending | None:
        """What a worker has said: how it ended, if it has.

        Raises:
            UserError: its code is not the one that the run was planned with.
            StoringError: nothing can be stored any more.
        """
        while worker.connection.poll():
            match worker.receive():
                case Began(origin):
                    worker.origin = origin
                case Progressed(step, steps, first, memory):
                    worker.progress = step, steps, (step - first) / max(time.monotonic() - worker.began, 1e-9)
                    self.work.watcher.progressed(worker.job, step, steps)
                    self._measured(worker, memory)
                case OtherCode(reason):
                    raise UserError(reason)
                case CannotStore(errno, strerror, filename):
                    raise StoringError(errno, strerror, filename)
                case ending:
                    return ending
        return None

    def _measured(self, worker: Worker, memory: Memory | None) -> None:
        if memory is not None:
            self.places.measured(worker.job.run.id, memory.used, memory.capacity)

    def _end(self, worker: Worker, ending: Ending) -> None:
        """A killed run is tried again, as is one that ran out of the memory that it shared; the last of these, or a timeout, is a row."""
        job, run_id, work = worker.job, worker.job.run.id, self.work
        if isinstance(ending, Lost):
            worker.kill()
        else:
            worker.let_exit()
        if isinstance(ending, Done):
            self._measured(worker, ending.memory)
        helps = isinstance(ending, OutOfMemory) and self.places.back_off(run_id)
        self.running.remove(worker)
        self.places.leave(run_id)
        match ending:
            case Done(failure):
                work.finished(job, failure)
            case OutOfMemory(failure) if not helps:
                work.failed(job, failure, worker.row())
            case Died() if worker.timed_out:
                kept = "its state is stored, and --retry timeout resumes from it" if work.has_state(job) else "it has no state"
                work.failed(job, Failure(FailureKind.TIMEOUT, f"over {work.limits.seconds:g} s; {kept}"), worker.row())
            case Died(how):
                self.server.answers = False  # perhaps it was killed too
                if self.attempts[run_id] < ATTEMPTS:
                    work.retry(job)
                else:
                    work.failed(job, Failure(FailureKind.KILLED, how), worker.row())
            case _:
                work.retry(job)

    def _ask_to_pause(self, number: int, frame: FrameType | None) -> None:
        self.pause_asked = True

    def _pause(self) -> None:
        """Stop the runs too, and not this process alone: a process that takes one over must not meet it. Continue those that were not taken over."""
        self.pause_asked = False
        began = time.monotonic()
        for worker in self.running:
            worker.send(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        self.work.renew_all()
        for worker in list(self.running):
            worker.began += time.monotonic() - began
            if self.work.renew(worker.job):
                worker.send(signal.SIGCONT)
            else:
                self._end(worker, Lost())

    def _stop_all(self) -> None:
        """Ask the running ones to save their state and stop; kill those that do not in time, or at one more Ctrl-C."""
        for worker in self.running:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE
        with deaf_to(STOPPING), suppress(KeyboardInterrupt):
            while any(worker.process.is_alive() for worker in self.running) and time.monotonic() < deadline:
                wait([worker.process.sentinel for worker in self.running if worker.process.is_alive()], timeout=POLL_EVERY)
                for worker in self.running:
                    self.work.renew(worker.job, worker.progress)
        for worker in self.running:
            worker.kill()
        for worker in self.running:
            with suppress(OSError):  # a lease that cannot be released grows stale
                self.work.release(worker.job)
        self.running.clear()
