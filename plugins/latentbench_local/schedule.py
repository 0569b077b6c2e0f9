"""When runs would all be done: the pool's own placement, with time that passes from the end of one run to the next."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from latentbench.api.engines import Load
from latentbench_local.packing import Packing
from latentbench_local.processes import CONTEXT


def makespan(places: Packing, loads: Sequence[Load], capacity: int | None) -> float:
    """Seconds until the last of the runs ends, each of which starts, in their order, as soon as there is room for it.

    Args:
        places: where the runs go, empty. Those that share a device do not slow each other.
        loads: what each run takes. The memory of all is known from the start, where the pool learns it from the first run of a kind.
        capacity: bytes of memory of each GPU; None on the CPU.
    """
    left, ending, now = dict(enumerate(loads)), list[tuple[float, int]](), 0.0
    while left or ending:
        for number in _started(places, left, capacity):
            heapq.heappush(ending, (now + left.pop(number).seconds, number))
        now, ended = heapq.heappop(ending)
        places.leave(str(ended))
    return now


def _started(places: Packing, left: dict[int, Load], capacity: int | None) -> list[int]:
    """The runs that there is room for now, which have entered their places."""
    started: list[int] = []
    refused: set[int | None] = set()
    for number, load in left.items():
        need = load.memory + CONTEXT if places.measures and load.memory else None
        device = None if need in refused else places.room(need)
        if device is None:
            refused.add(need)
            continue
        places.enter(str(number), device, need)
        if need is not None and capacity is not None:
            places.measured(str(number), need, capacity)
        started.append(number)
    return started
