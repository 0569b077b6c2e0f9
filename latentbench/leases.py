"""Leases: which process works on which run, so that any number of invocations share one results folder and none runs a run twice at once.

A lease is a small file that appears whole, by a hard link that fails where there is one already. Its owner touches it now and then; one that has not
been touched for long is stale and may be taken over. Ages are differences between times of the folder's own file system, so clocks of machines
need not agree.
"""

from __future__ import annotations

import json
import os
import platform
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latentbench.files import write_atomically

STALE_AFTER = 60.0
"""Seconds without a touch after which a lease is nobody's."""
TOUCH_EVERY = 10.0
"""Seconds between two touches."""


@dataclass(frozen=True)
class Leases:
    """The leases of a results folder, as one owner sees them. `owner` tells invocations apart."""

    folder: Path
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)

    def take(self, run_id: str, about: str = "") -> bool:
        """Whether this owner has got the run: nobody else had it, or their lease was stale. `about` says in words what the run is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._link(run_id, about):
            return True
        seen = self._read(run_id)
        if seen is None:
            return self._link(run_id, about)  # it was given back in between
        return self._is_stale(run_id, seen) and self._set_aside(run_id, seen) and self._link(run_id, about)

    def touch(self, run_id: str, progress: tuple[int, int, float] | None = None) -> bool:
        """Say that this owner still works on the run, and how far it is (step, steps, steps a second); False where somebody has taken it over."""
        seen = self._read(run_id)
        if seen is None or seen.get("owner") != self.owner:
            return False
        os.utime(self._path(run_id))
        if progress is not None:
            write_atomically(self._progress_path(run_id), json.dumps(progress).encode())
        return True

    def give_back(self, run_id: str) -> None:
        """End this owner's lease."""
        seen = self._read(run_id)
        if seen is not None and seen.get("owner") == self.owner:
            self._path(run_id).unlink(missing_ok=True)
            self._progress_path(run_id).unlink(missing_ok=True)

    def all(self) -> dict[str, dict[str, Any]]:
        """Every lease that is not stale, by run id: `about`, host, process, and the `progress` that its owner last told. Writes nothing."""
        found = {}
        for path in self.folder.glob("*.json"):
            seen = self._read(path.stem)
            if seen is not None and not self._is_stale(path.stem, seen, read_only=True):
                with suppress(FileNotFoundError, ValueError):
                    seen["progress"] = json.loads(self._progress_path(path.stem).read_text())
                found[path.stem] = seen
        return found

    def _path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"

    def _progress_path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.progress"

    def _read(self, run_id: str) -> dict[str, Any] | None:
        try:
            content = json.loads(self._path(run_id).read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            return {}  # damaged, and so nobody's once it is old
        return content if isinstance(content, dict) else {}

    def _link(self, run_id: str, about: str) -> bool:
        """Make the lease, unless there is one."""
        draft = self.folder / f".{run_id}.{self.owner}.tmp"
        me = {"host": platform.node(), "pid": os.getpid(), "started": _started(os.getpid())}
        draft.write_text(json.dumps({"owner": self.owner, **me, "about": about}))
        try:
            os.link(draft, self._path(run_id))
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True

    def _is_stale(self, run_id: str, seen: Mapping[str, Any], read_only: bool = False) -> bool:
        """A lease of a process of this machine that is gone is stale at once, any other by its age; a reader tells that by this machine's clock."""
        pid = seen.get("pid")
        if seen.get("host") == platform.node() and isinstance(pid, int):
            began = _started(pid)
            return began is None or began != str(seen.get("started"))
        with suppress(FileNotFoundError):
            return (time.time() if read_only else self._now()) - self._path(run_id).stat().st_mtime > STALE_AFTER
        return True

    def _now(self) -> float:
        """The time by the clock of the folder's file system."""
        probe = self.folder / f".clock.{self.owner}"
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink(missing_ok=True)
        return now

    def _set_aside(self, run_id: str, seen: Mapping[str, Any]) -> bool:
        """Remove a stale lease, and nothing but that one: of several who try, one succeeds."""
        aside = self.folder / f".{run_id}.{uuid.uuid4().hex}.stale"
        try:
            os.rename(self._path(run_id), aside)
        except FileNotFoundError:
            return False
        try:
            mine = bool(json.loads(aside.read_text()) == dict(seen))
        except ValueError:
            mine = not seen
        if not mine:  # somebody was quicker, and this is their new lease
            with suppress(FileExistsError):
                os.link(aside, self._path(run_id))
        aside.unlink(missing_ok=True)
        return mine


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
