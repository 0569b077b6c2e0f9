"""Leases: which process works on which run, so that any number of invocations share one results folder and none runs a run twice at once.

A lease is a small file that appears whole, by a hard link that fails where there is one already. Its owner touches it now and then; one that has not
been touched for long is stale and may be taken over: the new lease has the next generation in its name, so that of several who try one succeeds. Ages
are differences between times of the folder's own file system, so clocks of machines need not agree.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latentbench.files import remove, storing, write_atomically

STALE_AFTER = 60.0
"""Seconds without a touch after which a lease is nobody's."""
TOUCH_EVERY = 10.0
"""Seconds between two touches."""


class LeaseLostError(Exception):
    """stub"""


@dataclass(frozen=True)
class Leases:
    """The leases of a results folder, as one owner sees them. `owner` tells invocations apart."""

    folder: Path
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)

    def take(self, run_id: str, about: str = "") -> bool:
        """Whether this owner has got the run: nobody else had it, or their lease was stale. `about` says in words what the run is."""
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        held = self._held(run_id)
        if any(not _is_stale(path, seen, self._now()) for path, seen in held.values()):
            return False
        generation = max(held, default=0) + 1
        if not self._link(run_id, generation, about):
            return False
        now = self._now()
        others = {number for number, (path, seen) in self._held(run_id).items() if number != generation and not _is_stale(path, seen, now)}
        if others:  # somebody who looked at another time has got it too
            remove(self._path(run_id, generation))
            return False
        for path, _ in held.values():
            remove(path)
        return True

    def touch(self, run_id: str, progress: tuple[int, int, float] | None = None) -> bool:
        """Say that this owner still works on the run, and how far it is (step, steps, steps a second); False where somebody has taken it over."""
        mine = self._mine(run_id)
        if mine is None:
            return False
        try:
            os.utime(mine)
        except FileNotFoundError:  # meanwhile
            return False
        if progress is not None:
            write_atomically(self._progress_path(run_id), json.dumps(progress).encode())
        return True

    def check(self, run_id: str) -> None:
        """stub"""
        if self._mine(run_id) is None:
            raise LeaseLostError("stub")

    def give_back(self, run_id: str) -> None:
        """End this owner's lease."""
        mine = self._mine(run_id)
        if mine is not None:
            remove(self._progress_path(run_id))
            remove(mine)

    def give_back_all(self) -> None:
        """End all leases of this owner, those too that it was interrupted in taking or giving back; one that cannot be removed grows stale."""
        for run_id in self._names():
            with suppress(OSError):
                self.give_back(run_id)

    def busy(self) -> set[str]:
        """The runs that somebody works on."""
        names = self._names()
        now = self._now() if names else 0.0
        return {name for name in names if any(not _is_stale(path, seen, now) for path, seen in self._held(name).values())}

    def sweep(self) -> None:
        """Remove what killed processes have left."""
        now = self._now() if self._names() else 0.0
        for name in self._names() - self.busy():
            for path, seen in self._held(name).values():
                if _is_stale(path, seen, now):
                    remove(path)
                    remove(self._progress_path(name))

    def all(self) -> dict[str, dict[str, Any]]:
        """Every lease that is not stale, by run id: `about`, host, process, `since` (by the owner's clock), and the `progress` that it last told.

        Where the folder cannot be written, ages are told by this machine's clock.
        """
        found: dict[str, dict[str, Any]] = {}
        try:
            now = self._now() if self._names() else 0.0
        except OSError:
            now = time.time()
        for run_id in self._names():
            for path, seen in self._held(run_id).values():
                if not _is_stale(path, seen, now):
                    with suppress(FileNotFoundError, ValueError):
                        seen["progress"] = json.loads(self._progress_path(run_id).read_text())
                    found[run_id] = seen
        return found

    def _names(self) -> set[str]:
        return {path.name.partition(".")[0] for path in self.folder.glob("[!.]*.json")}

    def _path(self, run_id: str, generation: int) -> Path:
        return self.folder / f"{run_id}.{generation}.json"

    def _progress_path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.progress"

    def _held(self, run_id: str) -> dict[int, tuple[Path, dict[str, Any]]]:
        """The leases of a run by generation: file and content; a damaged one has none."""
        found = {}
        for path in self.folder.glob(f"{run_id}.*.json"):
            generation = path.name.split(".")[-2]
            if not generation.isdecimal():
                continue
            try:
                content = json.loads(path.read_text())
            except FileNotFoundError:
                continue
            except ValueError:
                content = {}
            found[int(generation)] = path, content if isinstance(content, dict) else {}
        return found

    def _mine(self, run_id: str) -> Path | None:
        """This owner's lease, if it is the newest."""
        held = self._held(run_id)
        path, seen = held[max(held)] if held else (None, {})
        return path if seen.get("owner") == self.owner else None

    def _link(self, run_id: str, generation: int, about: str) -> bool:
        """Make the lease, unless there is one of that generation."""
        lease, draft = self._path(run_id, generation), self.folder / f".{run_id}.{uuid.uuid4().hex}.tmp"
        content = json.dumps({"owner": self.owner, **this_process(), "about": about, "since": datetime.now(UTC).isoformat(timespec="seconds")})
        try:
            with storing(lease):
                draft.write_text(content)
                _link_or_make(draft, lease, content)
        except FileExistsError:
            return False
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        return True

    def _now(self) -> float:
        """The time by the clock of the folder's file system."""
        probe = self.folder / f".clock.{uuid.uuid4().hex}.tmp"
        with storing(self.folder):
            probe.touch()
            now = probe.stat().st_mtime
            probe.unlink(missing_ok=True)
        return now


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
    if (process.get("host"), process.get("place")) != (platform.node(), _place()) or not isinstance(pid, int):
        return None
    began = _started(pid)
    return began is None or began != str(process.get("started"))


def _link_or_make(draft: Path, lease: Path, content: str) -> None:
    """Let the lease appear whole, or, on a file system without hard links, at least only once."""
    try:
        os.link(draft, lease)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        with lease.open("x") as file:
            file.write(content)


def _is_stale(path: Path, seen: Mapping[str, Any], now: float) -> bool:
    """A lease of a process of this machine that is gone is stale at once, any other by its age."""
    if is_gone(seen):
        return True
    with suppress(FileNotFoundError):
        return now - path.stat().st_mtime > STALE_AFTER
    return True


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
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""
