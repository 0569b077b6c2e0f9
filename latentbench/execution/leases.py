"""Leases: which process works on which run, so that any number of invocations share one results folder and none runs a run twice at once.

A lease is a small file that appears whole, by a hard link that fails where there is one already. Its owner renews it by touching it now and then; one
that was not renewed for long is stale and may be taken over: the new lease has the next generation in its name, so that of several owners who try one
succeeds. Ages are differences between times of the folder's own file system, so clocks of machines need not agree.

Compaction of the folder has a lease too. It is acquired while no run is worked on, and no run is acquired while it is held: each of both writes its
own lease first and checks for the other's then.
"""

from __future__ import annotations

import errno
import json
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latentbench.execution.process import is_gone, this_process
from latentbench.files import listed, read_json, reading, remove, storing, write_atomically

STALE_AFTER = 60.0
"""Seconds without renewal after which a lease has no owner any more."""
RENEW_EVERY = 10.0
"""Seconds between two renewals."""


COMPACTION = "compaction"
"""The name of the lease of a compaction, in place of a run's id."""
FIELDS = {"owner": str, "host": str, "place": str, "pid": int, "started": str, "about": str, "since": str}
"""What the file of a lease says."""


class LeaseLostError(Exception):
    """A run was taken over by another owner, whose results count: nothing may be written about it here any more."""


@dataclass(frozen=True)
class Lease:
    """What is known of a lease: what it is for, the host and process that work on it, since when by their clock, and the progress that was told
    last (step, steps, steps a second). `problem` says that one of its files is damaged; what that would tell is missing then."""

    about: str = ""
    host: str = ""
    pid: int | None = None
    since: str = ""
    progress: tuple[int, int, float] | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Leases:
    """The leases of a results folder, as one owner sees them. `owner` tells invocations apart."""

    folder: Path
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)

    def acquire(self, run_id: str, about: str = "") -> bool:
        """Whether this owner has the run now: it was free, or its lease was stale, and the folder is not being compacted. `about` says what it is.

        Raises:
            OSError: as `storing`.
            FolderError: leases cannot be read.
        """
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        held = self._held(run_id)
        if any(not _is_stale(path, seen, self._now()) for path, seen in held.values()) or self._is_barred(run_id):
            return False
        generation = max(held, default=0) + 1
        if not self._link(run_id, generation, about):
            return False
        now = self._now()
        others = {number for number, (path, seen) in self._held(run_id).items() if number != generation and not _is_stale(path, seen, now)}
        if others or self._is_barred(run_id):  # another owner, who tried at the same time, has it too
            remove(self._path(run_id, generation))
            return False
        for path, _ in held.values():
            remove(path)
        return True

    def compacting(self) -> bool:
        """Whether the folder is being compacted."""
        held = self._held(COMPACTION)
        return bool(held) and any(not _is_stale(path, seen, self._now()) for path, seen in held.values())

    def _is_barred(self, run_id: str) -> bool:
        return run_id != COMPACTION and self.compacting()

    def check(self, run_id: str) -> None:
        """Raise a LeaseLostError unless the run is still this owner's.

        It is renewed before it is looked up, so that an owner who is about to take it over, as it seemed stale, meets the renewal or is seen here.
        """
        if not self.renew(run_id) or self._mine(run_id) is None:
            raise LeaseLostError(f"run {run_id} was taken over by another process: its lease in {self.folder} is not this process's any more")

    def renew(self, run_id: str, progress: tuple[int, int, float] | None = None) -> bool:
        """Say that this owner still works on the run, and its progress (step, steps, steps a second); False where another owner has taken it over."""
        mine = self._mine(run_id)
        if mine is None:
            return False
        try:
            with storing(mine):
                os.utime(mine)
        except FileNotFoundError:  # meanwhile
            return False
        if progress is not None:
            write_atomically(self._progress_path(run_id), json.dumps(progress).encode())
        return True

    def release(self, run_id: str) -> None:
        """End this owner's lease."""
        mine = self._mine(run_id)
        if mine is not None:
            remove(self._progress_path(run_id))
            remove(mine)

    def release_all(self) -> None:
        """End all leases of this owner, those too that it was interrupted in acquiring or releasing; one that cannot be removed grows stale."""
        with suppress(OSError):
            for run_id in self._files():
                with suppress(OSError):
                    self.release(run_id)

    def busy(self) -> set[str]:
        """The runs that are being worked on."""
        return self._fresh() - {COMPACTION}

    def _fresh(self) -> set[str]:
        files = self._files()
        now = self._now() if files else 0.0
        return {name for name in files if any(not _is_stale(path, seen, now) for path, seen in _contents(files[name]).values())}

    def sweep(self) -> None:
        """Remove what killed processes have left."""
        files = self._files()
        now = self._now() if files else 0.0
        for name in files.keys() - self._fresh():
            for path, seen in _contents(files[name]).values():
                if _is_stale(path, seen, now):
                    remove(path)
                    remove(self._progress_path(name))

    def all(self) -> dict[str, Lease]:
        """Every lease that is not stale, by run id.

        Where the folder cannot be written, ages are told by this machine's clock.
        """
        files = self._files()
        try:
            now = self._now() if files else 0.0
        except OSError:
            now = time.time()
        fresh = [(name, lease) for name in files for lease in _contents(files[name]).values() if not _is_stale(*lease, now)]
        return {run_id: self._lease(run_id, *lease) for run_id, lease in fresh}

    def _lease(self, run_id: str, path: Path, seen: Mapping[str, Any]) -> Lease:
        if not seen:
            counts = f"it counts until it has not been touched for {STALE_AFTER:g} s"
            return Lease(problem=f"lease {path} is damaged: {counts}; if run {run_id} is not being worked on, remove it")
        progress, problem = self._progress(run_id)
        return Lease(seen["about"], seen["host"], seen["pid"], seen["since"], progress, problem)

    def _progress(self, run_id: str) -> tuple[tuple[int, int, float] | None, str | None]:
        """The progress that was told last, or what is wrong with its file."""
        path = self._progress_path(run_id)
        try:
            told = read_json(path)
        except FileNotFoundError:
            return None, None
        except ValueError as error:
            told = str(error)
        if isinstance(told, list) and len(told) == 3 and all(_is_number(value) for value in told):
            return (told[0], told[1], told[2]), None
        return None, f"progress file {path} is damaged: expected three numbers, found {str(told)[:60]!r}; remove it"

    def _files(self) -> dict[str, dict[int, Path]]:
        """The files of leases, by run and generation."""
        found: dict[str, dict[int, Path]] = {}
        for path in listed(self.folder, ".json"):
            run_id, _, generation = path.stem.partition(".")
            if generation.isdecimal():
                found.setdefault(run_id, {})[int(generation)] = path
        return found

    def _path(self, run_id: str, generation: int) -> Path:
        return self.folder / f"{run_id}.{generation}.json"

    def _progress_path(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.progress"

    def _held(self, run_id: str) -> dict[int, tuple[Path, dict[str, Any]]]:
        """The leases of a run by generation: file and content."""
        return _contents(self._files().get(run_id, {}))

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


def _contents(files: Mapping[int, Path]) -> dict[int, tuple[Path, dict[str, Any]]]:
    """Files of leases with their content; a damaged one, which a killed process may have left, has none."""
    found = {}
    for generation, path in files.items():
        try:
            content = read_json(path)
        except FileNotFoundError:
            continue
        except ValueError:
            content = None
        found[generation] = path, content if _is_whole(content) else {}
    return found


def _is_whole(content: Any) -> bool:
    """Whether this is what the file of a lease says."""
    return isinstance(content, dict) and all(type(content.get(name)) is kind for name, kind in FIELDS.items())


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e15  # beyond that there are no steps to count; not a number is not at least 0


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
    with suppress(FileNotFoundError), reading(path):
        return now - path.stat().st_mtime > STALE_AFTER
    return True
