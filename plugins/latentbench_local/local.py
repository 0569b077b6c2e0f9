"""The local engine.

A process that dies is a run that is tried again from its last saved state, and after some times a row of failure; whatever happens to one run, the
others go on.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Literal

import torch
from pydantic import Field

from latentbench.engine import Engine
from latentbench.errors import UserError
from latentbench.job import Job
from latentbench.leases import TOUCH_EVERY
from latentbench.numbers import CountOrAuto, Numbers, parse_numbers
from latentbench.part import Options
from latentbench.registry import load_registry
from latentbench.speeds import expected, memories
from latentbench.work import Work
from latentbench_local.packing import Packing
from latentbench_local.processes import CONTEXT, STOPPED, execute_in_process

SLOW_IMPORTS = ("torch._dynamo", "safetensors.torch", "pandas")
"""What the first optimiser, state and fragment of a process import, in more than two seconds."""
GRACE = 60.0
"""Seconds that a run has to save its state when it is asked to stop."""
POLL_EVERY = 1.0
"""Seconds between two looks at runs that others work on."""
ATTEMPTS = 3
"""How often a run is started whose process is killed."""
STOPPING = (signal.SIGTERM, signal.SIGHUP)
"""What asks the engine to stop, beside Ctrl-C."""
OTHERS_MAY_SEND = (*STOPPING, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that Slurm or systemd send to every process of a job, and that must not end the fork server, with which all runs end."""


KILLED, OUT_OF_MEMORY = "killed", "out-of-memory"
"""Kinds of failure that may pass."""


class LocalOptions(Options):
    """Where runs go on this machine."""

    gpus: Numbers | None = Field(None, description="Numbers of GPUs, as in 0-7 or 0,2; none, the default: runs go to the CPU.")
    per_gpu: CountOrAuto = Field(1, description="Runs at a time on each GPU; auto: as many as its memory holds.")
    cpus: int | None = Field(None, ge=1, description="Runs at a time on the CPU, one thread each; one a core by default.")


@dataclass
class _Worker:
    """A run's process."""

    job: Job
    process: BaseProcess
    connection: Connection
    began: float = field(default_factory=time.monotonic)
    touched: float = field(default_factory=time.monotonic)
    progress: tuple[int, int, float] | None = None
    asked_to_stop: float | None = None
    timed_out: bool = False


class LocalEngine(Engine):
    """Processes of this machine, one a run; the default."""

    name = "local"
    default = True
    options_model = LocalOptions
    options: LocalOptions

    def __init__(self, options: LocalOptions) -> None:
        super().__init__(options)
        self.gpus = None if options.gpus in (None, "none") else parse_numbers(str(options.gpus))
        if self.gpus is not None and options.cpus is not None:
            raise UserError("gpus and cpus: choose one of them; `gpus: none` or --gpus none takes back the other's")
        self.running: list[_Worker] = []
        self.attempts: dict[str, int] = {}

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """`cuda` where GPUs were asked for."""
        return "cpu" if self.gpus is None else "cuda"

    @property
    def capacity(self) -> str:
        """As in `2 at a time`."""
        if self.gpus is None:
            return f"{self._cpus()} at a time"
        each = "as many as fit" if self.options.per_gpu == "auto" else str(self.options.per_gpu)
        return f"{each} at a time on each of {len(self.gpus)} GPUs"

    def check(self) -> None:
        """Look whether the GPUs are there. CUDA is not initialised: a fork could not use it any more."""
        count = torch.cuda.device_count()
        if any(gpu >= count for gpu in self.gpus or ()):
            has = f"GPUs 0 to {count - 1}" if count > 1 else "GPU 0 only" if count else "no CUDA GPU"
            raise UserError(f"--gpus {self.options.gpus}: not on this machine, which has {has}")

    def run(self, work: Work) -> None:
        """Run all jobs, or wait until others have; a second Ctrl-C kills those that are saving their state."""
        devices = ["cpu"] if self.gpus is None else [f"cuda:{gpu}" for gpu in self.gpus]
        share = self._cpus() if self.gpus is None else self.options.per_gpu
        places = Packing(devices, None if share == "auto" else share)
        known = memories(work.store) if places.measures else {}
        context = _context()
        with _stopped_by(STOPPING):
            try:
                while work.left or self.running:
                    self._fill(work, places, known, context)
                    if self.running:
                        wait([worker.connection for worker in self.running], timeout=POLL_EVERY)
                    elif work.left and not work.wait:
                        break
                    elif work.left:
                        time.sleep(POLL_EVERY)  # all that is left is others' work
                    for worker in list(self.running):
                        self._look_after(worker, work, places)
                    if work.stop():
                        break
            finally:
                self._stop_all(work)

    def _cpus(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.options.cpus or cores or 1

    def _fill(self, work: Work, places: Packing, known: Mapping[tuple[str, ...], float], context: ForkServerContext) -> None:
        """Start what there is room for."""

        def need(job: Job) -> int | None:
            reserved = expected(job.run, known, 0.0)
            return round(reserved) + CONTEXT if reserved else None

        while work.left and (job := work.take(lambda job: places.room(need(job)) is not None)) is not None:
            device = str(places.room(need(job)))
            places.enter(job.run.id, device, need(job))
            self._start(job, device, work, context)

    def _start(self, job: Job, device: str, work: Work, context: ForkServerContext) -> None:
        _ensure_fork_server()
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=execute_in_process, args=(job, work.results, device, theirs, work.limits.save_every), daemon=True)
        process.start()
        theirs.close()
        self.running.append(_Worker(job, process, ours))
        self.attempts[job.run.id] = self.attempts.get(job.run.id, 0) + 1
        work.watcher.started(job, device)

    def _look_after(self, worker: _Worker, work: Work, places: Packing) -> None:
        """Take in what a worker has said; keep its lease; end it where its time is up."""
        ended, failure = self._listen(worker, work, places)
        now = time.monotonic()
        if ended:
            self._end(worker, failure, work, places)
        elif now - worker.touched > TOUCH_EVERY and not work.keep(worker.job, worker.progress):
            worker.process.kill()
            worker.process.join()
            self._forget(worker, places)
            work.left.append(worker.job)
        elif worker.asked_to_stop is None and work.limits.seconds is not None and now - worker.began > work.limits.seconds:
            worker.timed_out, worker.asked_to_stop = True, now
            worker.process.terminate()
        elif worker.asked_to_stop is not None and now - worker.asked_to_stop > GRACE:
            worker.process.kill()
        if now - worker.touched > TOUCH_EVERY:
            worker.touched = now

    def _listen(self, worker: _Worker, work: Work, places: Packing) -> tuple[bool, str | None]:
        """What a worker has said: whether it ended, and with which failure."""
        while worker.connection.poll():
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join()
                return True, None if worker.timed_out else _how_it_died(worker.process)
            kind, *rest = message
            if kind == "progress":
                step, steps, first = rest[:3]
                worker.progress = step, steps, (step - first) / max(time.monotonic() - worker.began, 1e-9)
                work.watcher.progressed(worker.job, step, steps)
            if kind == "full":
                raise OSError(*rest[0])
            if kind != OUT_OF_MEMORY and rest[-1] is not None:
                places.measured(worker.job.run.id, *rest[-1])
            if kind != "progress":
                worker.process.join()
                return True, f"{OUT_OF_MEMORY}: {rest[0]}" if kind == OUT_OF_MEMORY else rest[0]
        return False, None

    def _end(self, worker: _Worker, failure: str | None, work: Work, places: Packing) -> None:
        """A killed run is tried again, as is one that ran out of the memory that it shared; a timeout, or the last of these, is a row."""
        job, code = worker.job, worker.process.exitcode
        kind, _, message = (failure or "").partition(": ")
        helps = kind == OUT_OF_MEMORY and places.back_off(job.run.id)
        self._forget(worker, places)
        if worker.timed_out and code != 0:
            work.fail(job, "timeout", f"over {work.limits.seconds:g} s; its state is stored, and --retry timeout goes on from it")
        elif helps or (kind == KILLED and self.attempts[job.run.id] < ATTEMPTS):
            work.put_back(job)
        elif kind in (KILLED, OUT_OF_MEMORY):
            work.fail(job, kind, message)
        else:
            work.end(job, failure)

    def _forget(self, worker: _Worker, places: Packing) -> None:
        self.running.remove(worker)
        places.leave(worker.job.run.id)

    def _stop_all(self, work: Work) -> None:
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
            work.give_up(worker.job)
        self.running.clear()


def _how_it_died(process: BaseProcess) -> str:
    code = process.exitcode or 0
    how = (
        f"signal {signal.Signals(-code).name}" if code < 0 else "SIGTERM, which this engine did not send" if code == STOPPED else f"exit code {code}"
    )
    return f"{KILLED}: process ended with {how}"


def _context() -> ForkServerContext:
    """Of a fork server that imports what runs need."""
    context = mp.get_context("forkserver")
    plugins = [module.__name__ for module in load_registry().modules.values()]
    context.set_forkserver_preload([__name__, *SLOW_IMPORTS, *plugins])
    return context


def _ensure_fork_server() -> None:
    """Start the fork server where there is none, deaf to signals that every process of a job gets: what is blocked stays so in a new process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OTHERS_MAY_SEND)
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, OTHERS_MAY_SEND)  # starting the tracker has unblocked SIGTERM
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _stopped_by(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Let these signals do what Ctrl-C does, raise KeyboardInterrupt, but for those that are ignored, as SIGHUP is under nohup."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.signal(n, signal.default_int_handler) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
