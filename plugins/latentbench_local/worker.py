"""A run's process, seen from the engine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from latentbench.api.engines import Job
from latentbench_local.messages import Message
from latentbench_local.processes import STOPPED

EXIT_WITHIN = 10.0
"""Seconds that a process has to exit when its run is over."""


@dataclass(frozen=True)
class Died:
    """The process ended without a word."""

    how: str


@dataclass
class Worker:
    """The process of a run, and what it has told."""

    job: Job
    process: BaseProcess
    connection: Connection
    began: float = field(default_factory=time.monotonic)
    origin: Mapping[str, Any] = field(default_factory=dict)
    progress: tuple[int, int, float] | None = None
    asked_to_stop: float | None = None
    timed_out: bool = False

    def receive(self) -> Message | Died:
        """What the process says next."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            self.let_exit()
            return Died(_how_it_died(self.process))
        return message

    def row(self) -> dict[str, Any]:
        """What the row of a failed run says of when and where it ran, and for how long."""
        return {**self.origin, "wall_seconds": time.monotonic() - self.began}

    def time_out(self) -> None:
        """Ask the process to stop, as its time is up."""
        self.timed_out, self.asked_to_stop = True, time.monotonic()
        self.process.terminate()

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal, if it lives."""
        if self.process.pid is not None and self.process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def let_exit(self) -> None:
        """Wait for the process, whose run is over; one that does not end by itself, as for a thread of a plugin's, is killed."""
        self.process.join(EXIT_WITHIN)
        if self.process.is_alive():
            self.kill()

    def kill(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.join()


def _how_it_died(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code < 0:
        return f"process ended with signal {signal.Signals(-code).name}"
    return "process ended with SIGTERM, which this engine did not send" if code == STOPPED else f"process ended with exit code {code}"
