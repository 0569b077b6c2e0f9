"""Compaction: the fragments of every table but `summaries` become one file each, which is faster to read.

Readers see the same rows before, after, and when this is killed in between. The compact file of `runs` is written last: those of its number count
from then on. Only then are fragments removed, rows of `runs` first, as a run's own row hides its rows in compact files.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from latentbench.errors import UserError
from latentbench.execution.heartbeat import Heartbeat
from latentbench.execution.leases import COMPACTION, LeaseLostError, Leases
from latentbench.files import reading, remove, write_atomically
from latentbench.results.store import Store
from latentbench.results.tables import TABLES, compact_number, to_bytes

JOINED = [*(table for table in TABLES if table not in ("runs", "summaries")), "runs"]
"""The tables that are joined, in the order in which their files are written."""


def compact(results: Path) -> int:
    """Join the fragments of a results folder; return how many files that saves. Runs wait until it has ended.

    Raises:
        UserError: there are no results, runs are being worked on, or something cannot be read or written.
    """
    store, leases = Store(results), Leases(results / "leases")
    if not store.exists():
        raise UserError(f"results folder {results} has no results")
    store.check_writable()
    heartbeat = Heartbeat(leases)
    if not heartbeat.acquire(COMPACTION, "compaction"):
        raise UserError(f"results folder {results} is being compacted already; `latentbench status` shows where")
    try:
        working = leases.busy()  # runs that were acquired before; none is from now on
        if working:
            raise UserError(f"results folder {results}: {len(working)} runs are being worked on; `latentbench status` shows them")
        return join_fragments(store, lambda: leases.check(COMPACTION))
    except LeaseLostError as error:
        raise UserError(f"compaction of {results} was held up for so long that runs began meanwhile; nothing is lost, repeat it") from error
    finally:
        heartbeat.release(COMPACTION)


def join_fragments(store: Store, check: Callable[[], None] = lambda: None) -> int:
    """Join the fragments; return how many files that saves. `check` may raise to end it: before the new files count, and before files are removed.

    Fragments that are written meanwhile stay.
    """
    before = {table: {path: _signature(path) for path in store.fragments(table)} for table in JOINED}
    if not any(before.values()):
        return 0
    number = 1 + max((compact_number(path) or 0 for paths in before.values() for path in paths), default=0)
    files = {table: store.path / table / f"compact-{number:06d}.parquet" for table in JOINED if before[table] or table == "runs"}
    try:
        for table, path in files.items():
            write_atomically(path, to_bytes(table, store.rows(table)), check)
    except BaseException:
        for path in reversed(files.values()):  # that of `runs` first, so that none counts
            remove(path)
        raise
    removed = 0
    for table in reversed(JOINED):
        check()
        for path, signature in before[table].items():
            if _signature(path) == signature is not None and not (table != "runs" and _has_own_row(store, path)):
                remove(path)
                removed += 1
    return removed - len(files)


def _has_own_row(store: Store, path: Path) -> bool:
    """Whether the run of a fragment has a row of its own, which hides its rows in compact files: it has changed meanwhile."""
    return compact_number(path) is None and (store.path / "runs" / f"{path.stem.partition('-')[0]}.parquet").exists()


def _signature(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced; None where it has gone."""
    with suppress(FileNotFoundError), reading(path):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return None
