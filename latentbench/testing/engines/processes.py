"""The processes that an engine has started, as the kernel knows them (Linux)."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from latentbench.testing.law import SkippedError


@dataclass(frozen=True)
class Process:
    """A process: its number, its parent's, and ticks of the processor that it has had."""

    pid: int
    parent: int
    ticks: int


def descendants() -> dict[int, Process]:
    """The processes that this one and its children have started, but for Python's tracker of shared resources.

    Raises:
        SkippedError: the machine does not tell.
    """
    if sys.platform != "linux":
        raise SkippedError("processes are found on Linux alone")
    everything = {process.pid: process for process in _all()}
    return {pid: process for pid, process in everything.items() if pid != os.getpid() and _is_below(process, everything)}


def _is_below(process: Process, everything: dict[int, Process]) -> bool:
    seen: set[int] = set()
    while process.parent != os.getpid():
        if process.parent not in everything or process.pid in seen:
            return False
        seen.add(process.pid)
        process = everything[process.parent]
    return True


def _all() -> list[Process]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended meanwhile
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z" and b"resource_tracker" not in (entry / "cmdline").read_bytes():
                    found.append(Process(int(entry.name), int(fields[1]), int(fields[11]) + int(fields[12])))
    return found


def busiest(before: set[int]) -> Process | None:
    """The process without children that has computed most since `before`; None where there is none."""
    found = descendants()
    parents = {process.parent for process in found.values()}
    leaves = [process for pid, process in found.items() if pid not in before | parents]
    return max(leaves, key=lambda process: process.ticks, default=None)
