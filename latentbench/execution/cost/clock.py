"""Seconds of a device: of this process on the CPU, whatever else the machine does meanwhile; by the wall on a GPU, once it has finished."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from statistics import median
from typing import Any

import torch

ENOUGH, AT_MOST = 0.5, 2.0
"""Seconds of timed steps after which a median of several is stable enough, and after which a slow kind has had its share."""
STEPS = 3
"""Steps that are timed at least, unless they are slow."""
GROUP = 5
"""Steps of a GPU that are timed together: waiting for it after each would cost more than launching the next."""


class Clock:
    """Seconds since it was made."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.began = self._now()

    def read(self) -> float:
        """The seconds."""
        return self._now() - self.began

    def _now(self) -> float:
        if not self.device.startswith("cuda"):
            return time.process_time()
        torch.cuda.synchronize(self.device)
        return time.perf_counter()


def timed(steps: Iterator[Any], device: str) -> list[float]:
    """Seconds of each of enough steps for their median to be stable, or of all that there are; on a GPU means of `GROUP` steps."""
    whole, found, group = Clock(device), list[float](), GROUP if device.startswith("cuda") else 1
    while (spent := whole.read()) < AT_MOST and (spent < ENOUGH or len(found) < STEPS):
        clock = Clock(device)
        done = sum(1 for _ in islice(steps, group))
        if not done:
            break
        found.append(clock.read() / done)
    return found


def middle(found: list[float], otherwise: float) -> float:
    """The median, or `otherwise` where nothing was timed."""
    return median(found) if found else otherwise
