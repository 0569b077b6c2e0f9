"""The heartbeat of an owner of leases: as long as its process lives, none of them grows stale, whatever the process waits for."""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from dataclasses import dataclass

from latentbench.execution.leases import TOUCH_EVERY, Leases

Steps = tuple[int, int, float]
"""How far a run is: step, steps, steps a second."""


@dataclass
class _Held:
    """A lease that is touched: how far its run is, and whether somebody else has taken it over."""

    progress: Steps | None = None
    lost: bool = False


class Heartbeat:
    """Touches leases every `TOUCH_EVERY` seconds, in a thread that is there as long as a lease is.

    A touch that fails, as on a file system that is away for a moment, is made again at the next beat.
    """

    def __init__(self, leases: Leases) -> None:
        self.leases = leases
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._over: threading.Event | None = None

    def begin(self, run_id: str) -> None:
        """Touch the lease of a run that was just taken."""
        with self._lock:
            self._held[run_id] = _Held()
            if self._over is None:
                self._over = threading.Event()
                threading.Thread(target=self._go_on, args=(self._over,), name="heartbeat of leases", daemon=True).start()

    def end(self, run_id: str) -> None:
        """Touch it no more: when this returns, nothing is written about it any more."""
        with self._lock:
            self._held.pop(run_id, None)
            if not self._held and self._over is not None:
                self._over.set()
                self._over = None

    def tell(self, run_id: str, progress: Steps | None) -> bool:
        """Let the next touch say how far the run is; False where somebody else has taken it over."""
        held = self._held[run_id]
        held.progress = progress or held.progress
        return not held.lost

    def held(self) -> list[str]:
        """The runs whose leases are touched."""
        return list(self._held)

    def beat(self) -> None:
        """Touch every lease now."""
        for run_id in self.held():
            with self._lock, suppress(OSError):
                if run_id in self._held:
                    held = self._held[run_id]
                    held.lost = not self.leases.touch(run_id, held.progress)

    def _go_on(self, over: threading.Event) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # the main thread gets them, and wakes up
        while not over.wait(TOUCH_EVERY):
            self.beat()
