"""The local engine.

A process that dies is a run that is tried again from its last saved state, and after some times a row of failure; whatever happens to one run, the
others go on.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import resource
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Literal

import torch
from pydantic import Field

from latentbench.api.engines import (
    CountOrAuto,
    Engine,
    Job,
    Numbers,
    Options,
    StoringError,
    UserError,
    Work,
    expected,
    load_registry,
    memories,
    parse_numbers,
)
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
STARTS = 10
"""How often in a row a process may fail to start."""
STOPPING = (signal.SIGTERM, signal.SIGHUP)
"""What asks the engine to stop, beside Ctrl-C."""
PAUSING = (signal.SIGTSTP,)
"""What asks it to pause: Ctrl-Z."""
OTHERS_MAY_SEND = (*STOPPING, *PAUSING, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that Slurm, systemd or a terminal send to every process of a job, and that must not end or stop the fork server: all runs come from it."""
EXIT_WITHIN = 10.0
"""Seconds that a process has to exit when its run is over."""


KILLED, OUT_OF_MEMORY, TIMEOUT = "killed", "out-of-memory", "timeout"
"""Kinds of failure that a run's process does not store itself."""
LOST = "lost"
"""A process has ended because its run is another invocation's by now."""
FILES, FILES_A_RUN = 64, 8
"""Files that a process of this engine has open at least, and those for each run at a time."""


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
    origin: Mapping[str, Any] | None = None  # what its run's row says of when and where
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
        self.unstarted = 0
        self.served = False
        self.pause_asked = False

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
        """Check that the GPUs are there, and that enough files may be open. CUDA is not initialised: a fork could not use it any more."""
        self._check_files()
        count = torch.cuda.device_count()
        if any(gpu >= count for gpu in self.gpus or ()):
            has = f"GPUs 0 to {count - 1}" if count > 1 else "GPU 0 only" if count else "no CUDA GPU"
            raise UserError(f"--gpus {self.options.gpus}: not on this machine, which has {has}")

    def _check_files(self) -> None:
        each = 4 if self.options.per_gpu == "auto" else self.options.per_gpu
        needed = FILES + FILES_A_RUN * (self._cpus() if self.gpus is None else len(self.gpus) * each)
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed not in (resource.RLIM_INFINITY, -1) and allowed < needed:
            raise UserError(
                f"a process may have {allowed} files open here, and running {self.capacity} needs {needed}: raise the limit with ulimit -n"
            )

    def run(self, work: Work) -> None:
        """Run all jobs, or wait until others have; a second Ctrl-C kills those that are saving their state."""
        devices = ["cpu"] if self.gpus is None else [f"cuda:{gpu}" for gpu in self.gpus]
        share = self._cpus() if self.gpus is None else self.options.per_gpu
        places = Packing(devices, None if share == "auto" else share)
        known = memories(work.store) if places.measures else {}
        context = _context()
        with _stopped_by(STOPPING), _handled(_heeded(PAUSING), self._ask_to_pause):
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
                    if self.pause_asked:
                        self._pause(work, places)
            finally:
                self._stop_all(work)

    def _cpus(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.options.cpus or cores or 1

    def _fill(self, work: Work, places: Packing, known: Mapping[tuple[str, ...], float], context: ForkServerContext) -> None:
        """Start what there is room for."""

        def need(job: Job) -> int | None:
            reserved = expected(job.run, known, 0.0) if known else 0.0
            return round(reserved) + CONTEXT if reserved else None

        while work.left:
            self._await_server(context)
            with _deferred(OTHERS_MAY_SEND):  # a run that is taken is looked after, or was not begun
                job = work.take(lambda job: places.room(need(job)) is not None)
                if job is None:
                    return
                self._start(job, str(places.room(need(job))), work, places, need(job), context)

    def _await_server(self, context: ForkServerContext) -> None:
        """Wait until the fork server answers, before a run is taken: what it imports may take long, and meanwhile Ctrl-C is heard."""
        while not self.served and self.unstarted < STARTS:
            try:
                _ensure_fork_server()
                process = context.Process(target=_answer, daemon=True)
                process.start()
                process.join()
            except (EOFError, OSError):  # it was killed meanwhile
                self.unstarted += 1
                time.sleep(POLL_EVERY)  # a server that is dying has no successor before it is gone
            else:
                self.served = True

    def _start(self, job: Job, device: str, work: Work, places: Packing, need: int | None, context: ForkServerContext) -> None:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=execute_in_process, args=(job, work.results, work.leases.owner, device, theirs, work.limits.save_every), daemon=True
        )
        try:
            _ensure_fork_server()
            process.start()
        except (EOFError, OSError) as error:  # the fork server was killed meanwhile
            ours.close()
            self.served = False
            self.unstarted += 1
            if self.unstarted >= STARTS:
                work.fail(job, KILLED, f"its process could not be started: {error!r}")
            else:
                work.put_back(job)
            return
        finally:
            theirs.close()
        self.unstarted = 0
        self.attempts[job.run.id] = self.attempts.get(job.run.id, 0) + 1
        places.enter(job.run.id, device, need)
        self.running.append(_Worker(job, process, ours))
        work.watcher.started(job, device)

    def _try_again(self, worker: _Worker, reason: str, work: Work) -> None:
        if self.attempts[worker.job.run.id] < ATTEMPTS:
            work.put_back(worker.job)
        else:
            work.fail(worker.job, KILLED, reason, _row_of(worker))

    def _look_after(self, worker: _Worker, work: Work, places: Packing) -> None:
        """Take in what a worker has said; end it where its time is up, or where somebody has taken its run over."""
        ended, failure = self._listen(worker, work, places)
        now = time.monotonic()
        if ended and failure == LOST:
            self._give_way(worker, work, places)
        elif ended:
            self._end(worker, failure, work, places)
        elif not work.keep(worker.job, worker.progress):
            self._give_way(worker, work, places)
        elif worker.asked_to_stop is None and work.limits.seconds is not None and now - worker.began > work.limits.seconds:
            worker.timed_out, worker.asked_to_stop = True, now
            worker.process.terminate()
        elif worker.asked_to_stop is not None and now - worker.asked_to_stop > GRACE:
            worker.process.kill()

    def _listen(self, worker: _Worker, work: Work, places: Packing) -> tuple[bool, str | None]:
        """What a worker has said: whether it ended, and with which failure."""
        while worker.connection.poll():
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                _let_exit(worker.process)
                return True, f"{TIMEOUT}: over {work.limits.seconds:g} s" if worker.timed_out else _how_it_died(worker.process)
            kind, *rest = message
            if kind == "began":
                worker.origin = rest[0]
                continue
            if kind == "other code":
                raise UserError(rest[0])
            if kind == LOST:
                _let_exit(worker.process)
                return True, LOST
            if kind == "progress":
                step, steps, first = rest[:3]
                worker.progress = step, steps, (step - first) / max(time.monotonic() - worker.began, 1e-9)
                work.watcher.progressed(worker.job, step, steps)
            if kind == "full":
                raise StoringError(*rest[0])
            if kind != OUT_OF_MEMORY and rest[-1] is not None:
                places.measured(worker.job.run.id, *rest[-1])
            if kind != "progress":
                _let_exit(worker.process)
                return True, f"{OUT_OF_MEMORY}: {rest[0]}" if kind == OUT_OF_MEMORY else rest[0]
        return False, None

    def _end(self, worker: _Worker, failure: str | None, work: Work, places: Packing) -> None:
        """A killed run is tried again, as is one that ran out of the memory that it shared; the last of these, or a timeout, is a row."""
        job = worker.job
        kind, _, message = (failure or "").partition(": ")
        helps = kind == OUT_OF_MEMORY and places.back_off(job.run.id)
        self._forget(worker, places)
        self.served = self.served and kind != KILLED  # perhaps with the fork server
        if helps:
            work.put_back(job)
        elif kind == KILLED:
            self._try_again(worker, message, work)
        elif kind == TIMEOUT:
            saved = work.store.state_path(job.run.id).exists()
            kept = "its state is stored, and --retry timeout resumes from it" if saved else "it has no state"
            work.fail(job, kind, f"{message}; {kept}", _row_of(worker))
        elif kind == OUT_OF_MEMORY:
            work.fail(job, kind, message, _row_of(worker))
        else:
            work.end(job, failure)

    def _give_way(self, worker: _Worker, work: Work, places: Packing) -> None:
        """Somebody else has taken the run over: end its process here, and wait for what becomes of it there."""
        _kill(worker.process)
        self._forget(worker, places)
        work.put_back(worker.job)

    def _ask_to_pause(self, number: int, frame: FrameType | None) -> None:
        self.pause_asked = True

    def _pause(self, work: Work, places: Packing) -> None:
        """Stop the runs too, and not this process alone: who takes one over must not meet it. Go on with those that are still this engine's."""
        self.pause_asked = False
        began = time.monotonic()
        for worker in self.running:
            _send(worker.process, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        work.wake()
        for worker in list(self.running):
            worker.began += time.monotonic() - began
            if work.keep(worker.job):
                _send(worker.process, signal.SIGCONT)
            else:
                self._give_way(worker, work, places)

    def _forget(self, worker: _Worker, places: Packing) -> None:
        self.running.remove(worker)
        places.leave(worker.job.run.id)

    def _stop_all(self, work: Work) -> None:
        """Ask the running ones to save their state and stop; kill those that do not in time, or at one more Ctrl-C."""
        for worker in self.running:
            worker.process.terminate()
        deadline = time.monotonic() + GRACE
        with _deaf_to(STOPPING), suppress(KeyboardInterrupt):
            while any(worker.process.is_alive() for worker in self.running) and time.monotonic() < deadline:
                wait([worker.process.sentinel for worker in self.running if worker.process.is_alive()], timeout=POLL_EVERY)
                for worker in self.running:
                    work.keep(worker.job, worker.progress)
        for worker in self.running:
            _kill(worker.process)
        for worker in self.running:
            with suppress(OSError):  # a lease that cannot be given back grows stale
                work.give_up(worker.job)
        self.running.clear()


def _row_of(worker: _Worker) -> dict[str, Any]:
    """What the row of a failed run says of when and where it ran, and for how long."""
    return {**(worker.origin or {}), "wall_seconds": time.monotonic() - worker.began}


def _let_exit(process: BaseProcess) -> None:
    """Wait for a process whose run is over; one that does not end by itself, as for a thread of a plugin's, is killed."""
    process.join(EXIT_WITHIN)
    if process.is_alive():
        _kill(process)


def _answer() -> None:
    """What a process does that only shows that the fork server makes some."""


def _send(process: BaseProcess, number: signal.Signals) -> None:
    if process.pid is not None and process.is_alive():
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join()


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


def _stopped_by(numbers: Iterable[signal.Signals]) -> AbstractContextManager[None]:
    """Let these signals do what Ctrl-C does, raise KeyboardInterrupt, but for those that are ignored, as SIGHUP is under nohup."""
    return _handled(_heeded(numbers), signal.default_int_handler)


def _heeded(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Those that are not ignored."""
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def _deaf_to(numbers: Iterable[signal.Signals]) -> AbstractContextManager[None]:
    """Ignore these signals: what stops is stopping already."""
    return _handled(numbers, signal.SIG_IGN)


@contextmanager
def _deferred(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Let signals that have a handler wait."""
    waiting: list[int] = []
    handled = [number for number in numbers if callable(signal.getsignal(number))]
    with _handled(handled, lambda number, frame: waiting.append(number)):
        yield
    for number in waiting:
        signal.raise_signal(number)


@contextmanager
def _handled(numbers: Iterable[signal.Signals], handler: Any) -> Iterator[None]:
    """Handle signals otherwise for a while, where this is the main thread, which alone may say so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)
