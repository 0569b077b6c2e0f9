"""The fork server: processes begin with torch and the plugins imported."""

from __future__ import annotations

import multiprocessing as mp
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

from latentbench.api.engines import ensure_fork_server, load_registry

SLOW_IMPORTS = ("torch._dynamo", "safetensors.torch", "pandas")
"""What the first optimiser, state and fragment of a process import, in more than two seconds."""
STARTS = 10
"""How often in a row a process may fail to start."""
RETRY_AFTER = 1.0
"""Seconds before a server that was killed is started again: one that is dying has no successor before it is gone."""
BLOCKED = (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that Slurm, systemd or a terminal send to every process of a job, and that must not end or stop the server: all runs come from it."""


class ForkServer:
    """Starts processes. `failures` counts those in a row that did not start."""

    def __init__(self) -> None:
        self.context = mp.get_context("forkserver")
        plugins = [module.__name__ for module in load_registry().modules.values()]
        self.context.set_forkserver_preload(["latentbench_local.processes", *SLOW_IMPORTS, *plugins])
        self.answers = False
        self.failures = 0

    @property
    def gone(self) -> bool:
        """Whether it failed so often that trying again would not help."""
        return self.failures >= STARTS

    def wait(self) -> None:
        """Wait until the server answers: what it imports may take long, and meanwhile Ctrl-C is heard."""
        while not self.answers and not self.gone:
            try:
                ensure_fork_server(BLOCKED)
                process = self.context.Process(target=_answer, daemon=True)
                process.start()
                process.join()
            except (EOFError, OSError):  # it was killed meanwhile
                self.failures += 1
                time.sleep(RETRY_AFTER)
            else:
                self.answers = True

    def start(self, target: Callable[..., None], *args: Any) -> BaseProcess:
        """A process that calls `target`.

        Raises:
            EOFError, OSError: the server was killed meanwhile.
        """
        process = self.context.Process(target=target, args=args, daemon=True)
        try:
            ensure_fork_server(BLOCKED)
            process.start()
        except (EOFError, OSError):
            self.answers = False
            self.failures += 1
            raise
        self.failures = 0
        return process


def _answer() -> None:
    """What a process does that only shows that the server makes some."""
