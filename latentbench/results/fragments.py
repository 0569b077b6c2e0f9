"""Reading tables: out of fragments, one a run (and evaluation), and of compact files, which hold rows of many runs.

The compact file of `runs` is written last, and makes those of its number count; a run's own fragments hide its rows there: the one in `runs` all of
them, any other those of its evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latentbench.errors import UserError
from latentbench.files import listed
from latentbench.results.arrow import SEPARATOR, empty, texts
from latentbench.results.tables import TABLES, DamagedError, check_json, compact_number, damaged, read_fragment, table_schema

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
KEYS = {"summaries": (), "runs": ("run_id",), "history": ("run_id",)}
"""The columns that say which rows come from one fragment, where they are not a run's and an evaluation's ids."""
UNFINISHED_MERGE = ".merging"
"""The file in a results folder that `latentbench merge` has not finished."""
READ_AGAIN = 100
"""How often a table is listed again because a file of it has gone."""


_KEPT: ContextVar[dict[tuple[Path, str], pa.Table] | None] = ContextVar("_KEPT", default=None)
"""Tables that were read already, by folder and name; None outside of `read_once`."""


@contextmanager
def read_once() -> Iterator[None]:
    """Read every table once, and whole: what shows a folder from all sides shows one state of it, and thousands of fragments take seconds to read."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


class _ChangedError(Exception):
    """The folder was compacted, or a run of a compact file changed, while a table was read."""


class Tables:
    """The tables of a results folder, for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check_whole(self) -> None:
        """Raise a UserError where `latentbench merge` was killed."""
        marker = self.path / UNFINISHED_MERGE
        if marker.exists():
            raise UserError(f"{marker}: a merge into {self.path} was interrupted; repeat that `latentbench merge`, or remove the folder")

    def exists(self) -> bool:
        """Whether there is any table."""
        return any(self.fragments(table) for table in TABLES)

    def fragments(self, table: str) -> list[Path]:
        """The files of a table.

        Raises:
            UserError: they cannot be listed, or one has a name that only compact files have.
        """
        files = listed(self.path / table, ".parquet")
        for path in files:
            compact_number(path)
        return files

    def read(self, table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A whole table; empty, with its columns, where nothing was stored.

        Raises:
            UserError: a fragment is damaged, cannot be read, or was written by a newer latentbench; or there are two of one run and evaluation.
        """
        frame: pd.DataFrame = self.rows(table, columns).to_pandas()
        return frame

    def rows(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """A whole table as `read`, in pyarrow's form."""
        self.check_whole()
        names, kept = list(columns or TABLES[table]), _KEPT.get()
        if kept is None:
            return self.steadily(partial(self._rows, table, names), table)
        key = (self.path.resolve(), table)
        if key not in kept:
            kept[key] = self.steadily(partial(self._rows, table, list(TABLES[table])), table)
        return kept[key].select(names)

    def steadily(self, read: Callable[[], T], table: str) -> T:
        """What `read` returns; it is called again where files have gone since they were listed, as by compaction: what replaces them is there."""
        for _ in range(READ_AGAIN):
            with suppress(FileNotFoundError, _ChangedError):
                return read()
        raise UserError(f"{self.path / table} cannot be read: its files are being replaced all the time")

    def _rows(self, table: str, names: list[str]) -> pa.Table:
        keys = KEYS.get(table, ("run_id", "evaluation_id"))
        wanted = list(dict.fromkeys([*names, *keys]))
        number, changed = self.compaction()
        files = self.fragments(table)
        own, compact = [path for path in files if compact_number(path) is None], _newest(files, number)
        parts = [(path, read_fragment(path, table, wanted)) for path in own]
        if compact is not None:
            part = read_fragment(compact, table, wanted)
            replaced = pc.is_in(_joined(part, keys), texts(path.stem for path in own))
            replaced = pc.or_(replaced, pc.is_in(part["run_id"], texts(sorted(changed))))
            parts.append((compact, part.filter(pc.invert(replaced))))
        now, changed_now = self.compaction()
        if now != number or (compact is not None and (changed ^ changed_now) & set(part["run_id"].unique().to_pylist())):
            raise _ChangedError
        whole = pa.concat_tables([empty(table_schema(table).remove_metadata()).select(names), *(part.select(names) for _, part in parts)])
        check_json([(path, part.select(names)) for path, part in parts], whole)
        if keys:
            _check_copies(table, parts, keys)
        return whole

    def compaction(self) -> tuple[int, set[str]]:
        """The number of the last compaction, 0 where there was none, and the runs that have a row of their own."""
        files = {path.stem: compact_number(path) for path in self.fragments("runs")}
        return max((n for n in files.values() if n is not None), default=0), {name for name, n in files.items() if n is None}

    def compact_rows(self, table: str, run_id: str) -> list[dict[str, Any]]:
        """A run's rows in a compact file."""

        def read() -> list[dict[str, Any]]:
            path = _newest(self.fragments(table), self.compaction()[0])
            return [] if path is None else list(read_fragment(path, table, list(TABLES[table]), run_id).to_pylist())

        return self.steadily(read, table)

    def own_row(self, run_id: str) -> dict[str, Any]:
        """A run's own row; empty where that only hides the one of a compact file."""
        rows = read_fragment(self.path / "runs" / f"{run_id}.parquet", "runs", list(TABLES["runs"])).to_pylist()
        return dict(rows[0]) if rows else {}


def _newest(files: Iterable[Path], number: int) -> Path | None:
    """The compact file that counts: the newest of those that are no newer than the last compaction."""
    found = {n: path for path in files if (n := compact_number(path)) is not None and n <= number}
    return found[max(found)] if found else None


def _joined(part: pa.Table, keys: Sequence[str]) -> pa.ChunkedArray:
    """The name of the fragment that would hold each row."""
    return pc.binary_join_element_wise(*(part[key] for key in keys), SEPARATOR) if len(keys) > 1 else part["run_id"]


def _check_copies(table: str, parts: Sequence[tuple[Path, pa.Table]], keys: Sequence[str]) -> None:
    """Raise a UserError where two files have rows of one run (and evaluation), or a run has two rows in `runs`."""
    joined = [_joined(part, keys) for _, part in parts]
    once = pa.chunked_array([chunk for one in joined for chunk in (one.chunks if table == "runs" else [one.unique()])], pa.string())
    if pc.count_distinct(once).as_py() == len(once):
        return
    names = pa.chunked_array([chunk for one in joined for chunk in one.chunks], pa.string())
    rows = pa.table({"name": names, "file": np.repeat(np.arange(len(parts)), [len(part) for _, part in parts])})
    if table != "runs":
        rows = rows.group_by(["name", "file"]).aggregate([])
    files = rows.group_by("name").aggregate([("file", "count"), ("file", "min"), ("file", "max")])
    for copy in files.filter(pc.field("file_count") > 1).slice(0, 1).to_pylist():
        one, other = (parts[copy[f"file_{which}"]][0] for which in ("min", "max"))
        if one == other:
            raise DamagedError(damaged(one, f"it has two rows of run {copy['name']}"))
        raise UserError(f"{one} and {other} both have {table} of {copy['name']}: one of them is a copy; remove that")
