"""Freeing disk space: models, arrays, pictures and training states of chosen runs are removed; rows and metrics stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentbench.errors import UserError, unknown
from latentbench.execution.leases import LeaseLostError, Leases
from latentbench.files import listed, remove
from latentbench.results.selection import check_name, matching
from latentbench.results.store import Store

FREED = ("checkpoints", "kept", "arrays", "pictures", "states")
"""What can be freed: trained models and those of `keep_checkpoints`; the latter alone; arrays for figures; pictures; training states."""


@dataclass(frozen=True)
class Pruned:
    """How many runs files were removed of, how many files and bytes these were, and the runs that were skipped as they are being worked on."""

    runs: int
    files: int
    bytes: int
    busy: Sequence[str]


def prune(results: Path, freed: Collection[str], only: Mapping[str, Sequence[Any]] | None = None, dry_run: bool = False) -> Pruned:
    """Remove files of runs.

    Args:
        results: the results folder.
        freed: which kinds of files, of `FREED`.
        only: the runs, by setting and its values, as `latentbench compare --only` has them; all by default. Interrupted runs, whose settings no table
            has, are among them only where this is empty.
        dry_run: count, and remove nothing.

    Raises:
        UserError: there are no results, a kind is unknown, no run has one of the values, or something cannot be read or removed.
    """
    store = Store(results)
    store.check_exists()
    leases = Leases(results / "leases")
    working = leases.busy()
    removed: list[list[int]] = []
    busy: list[str] = []
    for run_id in _chosen(store, only or {}):
        files = _files(store, run_id, freed)
        if not files:
            continue
        if run_id in working or not (dry_run or _removed(leases, run_id, list(files))):
            busy.append(run_id)
        else:
            removed.append(list(files.values()))
    return Pruned(len(removed), sum(map(len, removed)), sum(map(sum, removed)), busy)


def _chosen(store: Store, only: Mapping[str, Sequence[Any]]) -> list[str]:
    for name in only:
        check_name(name)
    runs = [str(run_id) for run_id in matching(store.read("runs"), only)["run_id"]]
    return runs if only else sorted({*runs, *store.saved_states()})


def _files(store: Store, run_id: str, freed: Collection[str]) -> dict[Path, int]:
    """The files of a run that are to go, with their sizes in bytes."""
    found: dict[Path, int] = {}
    for path in (path for kind in freed for path in _of_kind(store, run_id, kind)):
        with suppress(FileNotFoundError):
            found[path] = path.stat().st_size
    return found


def _of_kind(store: Store, run_id: str, kind: str) -> list[Path]:
    match kind:
        case "checkpoints":
            return [store.checkpoint_path(run_id, share) for share in store.checkpoints(run_id)]
        case "kept":
            return [store.checkpoint_path(run_id, share) for share in store.checkpoints(run_id) if share < 1]
        case "arrays" | "pictures":
            return listed(store.path / kind / run_id)
        case "states":
            return [path for path in listed(store.path / kind, ".safetensors") if path.stem.partition("@")[0] == run_id]
    raise UserError(unknown("kind of file", kind, FREED))


def _removed(leases: Leases, run_id: str, files: Sequence[Path]) -> bool:
    """Remove files of a run under its lease; False where another process works on it."""
    if not leases.acquire(run_id, "prune"):
        return False
    try:
        for path in files:
            remove(path, lambda: leases.check(run_id))
    except LeaseLostError:
        return False
    finally:
        leases.release(run_id)
    return True
