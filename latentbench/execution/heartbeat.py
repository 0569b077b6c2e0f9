"""The heartbeat of an owner of leases: as long as its process lives, none of them grows stale, whatever the process waits for."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from dataclasses import dataclass

from latentbench.execution.leases import RENEW_EVERY, Leases

Steps = tuple[int, int, float]
"""The progress of a run: step, steps, steps a second."""


@dataclass
class _Held:
    """A lease that is renewed: the progress of its run, and whether another owner has taken it over."""

    progress: Steps | None = None
    lost: bool = False


class Heartbeat:
    """Renews leases every `RENEW_EVERY` seconds, in a thread that is there as long as a lease is.

    A renewal that fails, as on a file system that is away for a moment, is made again at the next beat.
    """

    def __init__(self, leases: Leases) -> None:
        self.leases = leases
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._over: threading.Event | None = None

    def acquire(self, run_id: str, about: str = "") -> bool:
        """Acquire a lease, as `Leases.acquire`, and renew it from now on; False where it could not be had."""
        if not self.leases.acquire(run_id, about):
            return False
        with self._lock:
            self._held[run_id] = _Held()
            if self._over is None:
                self._over = threading.Event()
                threading.Thread(target=self._renew_until, args=(self._over,), name="heartbeat of leases", daemon=True).start()
        return True

    def release(self, run_id: str) -> None:
        """Renew a lease no more, and release it: when this returns, nothing is written about it any more."""
        self._forget(run_id)
        self.leases.release(run_id)

    def release_all(self) -> None:
        """Release every lease of this owner."""
        for run_id in list(self._held):
            self._forget(run_id)
        self.leases.release_all()

    def renew(self, run_id: str, progress: Steps | None) -> bool:
        """Let the next beat tell the progress of a run; False where another owner has taken it over."""
        held = self._held[run_id]
        held.progress = progress or held.progress
        return not held.lost

    def beat(self) -> None:
        """Renew every lease now."""
        for run_id in list(self._held):
            with self._lock, suppress(OSError):
                if run_id in self._held:
                    held = self._held[run_id]
                    held.lost = not self.leases.renew(run_id, held.progress)

    def _forget(self, run_id: str) -> None:
        with self._lock:
            self._held.pop(run_id, None)
            if not self._held and self._over is not None:
                self._over.set()
                self._over = None

    def _renew_until(self, over: threading.Event) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # the main thread gets them, and wakes up
        while not over.wait(RENEW_EVERY):
            self.beat()
