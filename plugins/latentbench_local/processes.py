"""What happens in a run's own process."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from latentbench.api.engines import (
    Control,
    Failure,
    InterruptedRunError,
    Job,
    LeaseLostError,
    Leases,
    OtherCodeError,
    Store,
    StoringError,
    cannot_store,
    execute,
    load_registry,
    storing,
)
from latentbench_local.messages import Began, CannotStore, Done, Lost, Memory, Message, OtherCode, OutOfMemory, Progressed

REPORT_EVERY = 0.2
"""Seconds between two reports of a run's progress."""
STOPPED = 75
"""Exit code of a process that was asked to stop and has saved its run's state."""
OUT_OF_MEMORY = (torch.cuda.OutOfMemoryError, MemoryError)
CONTEXT = 512 * 2**20
"""Bytes that a CUDA context takes in addition to what torch has reserved, generously."""


def execute_in_process(job: Job, results: Path, owner: str, device: str, connection: Connection, save_every: float) -> None:
    """Execute a run and tell the engine how it goes. Its output goes to the run's log.

    Nothing is written once `owner`, the engine's, has lost the run's lease.
    """
    os.setsid()  # Ctrl-C goes to the parent's session, which asks this process to stop
    die_with_parent()
    store = Store(results, fence=Leases(results / "leases", owner).check)
    try:
        _write_to(store.log_path(job.run.id))
    except StoringError as error:
        _tell(connection, CannotStore(error.errno, error.strerror, error.filename))
        return
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # the fork server blocks it
        device = use(device)
        _log(f"{job.run.about} started, process {os.getpid()}, CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '')}")
        report = _Report(connection, stop, device)
        control = Control(report, stop.wanted, save_every, OUT_OF_MEMORY, lambda origin: _tell(connection, Began(origin)))
        _tell(connection, _ended(job, store, device, control))
    except _StoppedError:
        _log("stopped")
        os._exit(STOPPED)


def _ended(job: Job, store: Store, device: str, control: Control) -> Message:
    """Execute a run; how it ended."""
    try:
        failure = execute(job, load_registry(), store, device, control)
    except InterruptedRunError:
        _log("stopped")
        os._exit(STOPPED)
    except LeaseLostError as error:
        _log(str(error))
        return Lost()
    except OtherCodeError as error:
        _log(str(error))
        return OtherCode(str(error))
    except OUT_OF_MEMORY as error:
        _log(f"out of memory: {error}")
        return OutOfMemory(Failure.of(error))
    except OSError as error:
        if not cannot_store(error):
            raise
        return CannotStore(error.errno, error.strerror, error.filename)
    _log("done" if failure is None else str(failure))
    return Done(failure, memory(device))


class _Report:
    """Tells the engine of progress, not too often."""

    def __init__(self, connection: Connection, stop: _Stop, device: str) -> None:
        self.connection, self.stop, self.device = connection, stop, device
        self.last, self.first = 0.0, -1

    def __call__(self, step: int, steps: int) -> None:
        self.first = step if self.first < 0 else self.first
        self.stop.in_training = step < steps
        if step == steps or time.monotonic() - self.last > REPORT_EVERY:
            self.last = time.monotonic()
            _tell(self.connection, Progressed(step, steps, self.first, memory(self.device)))


class _StoppedError(BaseException):
    """Ends a run that was asked to stop, wherever it is, through what removes files that are half written."""


class _Stop:
    """The handler of SIGTERM. A run that trains saves its state first; one that loads or evaluates, which is done again, ends at once."""

    def __init__(self) -> None:
        self.asked = self.in_training = False

    def __call__(self, number: int, frame: Any) -> None:
        self.asked = True
        if not self.in_training:
            raise _StoppedError

    def wanted(self) -> bool:
        return self.asked


def use(device: str) -> str:
    """Make the GPU that the engine chose the only one that this process sees, before CUDA is touched; return the device's name here.

    Devices are numbered as the engine sees them, which CUDA_VISIBLE_DEVICES may have chosen already.
    """
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return device
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[int(number)] if visible else number
    return "cuda:0"


def memory(device: str) -> Memory | None:
    """What this process has had of its GPU's memory; None on a CPU."""
    if not device.startswith("cuda"):
        return None
    return Memory(torch.cuda.max_memory_reserved(device) + CONTEXT, torch.cuda.mem_get_info(device)[1])


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the fork server ends, which ends with the engine (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _write_to(path: Path) -> None:
    """Append standard output and error of this process to a file."""
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _log(text: str) -> None:
    line = f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {platform.node()}: {text}\n"
    with suppress(OSError):  # a log that cannot be written is no reason to end
        os.write(1, line.encode())  # at once, and also from a signal handler


def _tell(connection: Connection, message: Message) -> None:
    """Send a message to the engine; where that has gone, this process ends."""
    try:
        connection.send(message)
    except BrokenPipeError:
        sys.exit(0)
