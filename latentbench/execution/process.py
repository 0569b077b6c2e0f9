"""What tells a process from all others, on any machine and in any container, and whether it has ended."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """What tells this process from all others, on any machine and in any container."""
    return {"host": platform.node(), "place": _place(), "pid": os.getpid(), "started": _started(os.getpid())}


def _place() -> str:
    """Where process numbers mean the same: this boot of the machine, and the namespace of processes."""
    with suppress(OSError):
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.stat('/proc/self/ns/pid').st_ino}"
    return ""


def is_gone(process: Mapping[str, Any]) -> bool | None:
    """Whether a process (as `this_process`) has ended; None where that cannot be told, as for one of another machine or container."""
    pid = process.get("pid")
    if (process.get("host"), process.get("place")) != (platform.node(), _place()) or type(pid) is not int:
        return None
    began = _started(pid)
    return began is None or began != str(process.get("started"))


def _started(pid: int) -> str | None:
    """When a process of this machine began, in ticks since boot, so that a number that was used again is another process; None where it is gone."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else fields[19]
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    return ""
