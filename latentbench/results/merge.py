"""Joining results folders of several machines by run id. Equal ids must have equal results; where they have not, nothing is chosen.

While it is being written the folder has a marker file, and nothing else reads or writes it. A merge that was killed begins anew.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import pandas as pd

from latentbench.errors import UserError
from latentbench.files import listed, opened, remove, storing, write_atomically
from latentbench.results.fragments import UNFINISHED_MERGE
from latentbench.results.store import Store
from latentbench.results.tables import TABLES, DamagedError
from latentbench.results.tensors import read_tensors

TOLERANCE = 0.01
"""Relative difference up to which a metric of one run, measured on two machines, is the same: rounding differs, and training amplifies it."""
KEY = ["evaluation_id", "split", "metric", "index_name", "index"]
"""What tells the metrics of one run apart."""
OF_EVALUATIONS = ("evaluations", "units", "metrics")
"""Tables with a fragment a run and evaluation, in the order in which they are written."""
WRITTEN = (*TABLES, "arrays", "checkpoints", "pictures", "logs", "plugins")
"""The folders that a merge writes."""


@dataclass(frozen=True)
class Merged:
    """How many runs went into the folder, how many of them several folders had, and the runs that did not go, with the reason.

    `damaged` are files that were passed over, with what is wrong, and the file that was taken instead, or None where no folder has a whole one.
    """

    runs: int
    shared: int
    conflicts: Mapping[str, str]
    damaged: Mapping[str, Path | None]


@dataclass(frozen=True)
class _Folder:
    """The tables of one results folder, by run id."""

    store: Store
    runs: Mapping[str, dict[str, Any]]
    tables: Mapping[str, Mapping[str, pd.DataFrame]]

    @classmethod
    def read(cls, path: Path) -> _Folder:
        store = Store(path)
        if not store.exists():
            raise UserError(f"results folder {path} has no results" + ("" if path.exists() else " (it does not exist)"))
        tables = {table: {str(key): part for key, part in store.read(table).groupby("run_id")} for table in (*OF_EVALUATIONS, "history")}
        return cls(store, {str(row["run_id"]): row for row in _rows(store.read("runs"))}, tables)

    def metrics(self, run_id: str) -> pd.DataFrame:
        return self.tables["metrics"].get(run_id, pd.DataFrame(columns=[*KEY, "value"]))


def merge(sources: Sequence[Path], into: Path, tolerance: float = TOLERANCE) -> Merged:
    """Write all runs of results folders into another one.

    A run that several have is taken from the first where it is done, with every evaluation that any of them has; its metrics must agree. Its model,
    arrays and pictures are taken from the first that has them whole. Conflicts are told, and such runs are left out.

    Args:
        sources: results folders.
        into: a folder without results, or the one that the same merge was killed in.
        tolerance: the relative difference up to which metrics agree.

    Raises:
        UserError: a source has no results, or cannot be read, or `into` has some, or cannot be written.
    """
    target, marker = Store(into), into / UNFINISHED_MERGE
    if not marker.exists() and any(listed(into / name) for name in WRITTEN):
        raise UserError(f"results folder {into} has results already; name a new one, and give this one among those to be merged")
    folders = [_Folder.read(path) for path in sources]
    _clear(into)
    target.check_writable()
    write_atomically(marker, b"")
    writer, conflicts = _Writer(target), {}
    shared = written = 0
    for run_id in dict.fromkeys(run_id for folder in folders for run_id in folder.runs):
        having = [folder for folder in folders if run_id in folder.runs]
        done = [folder for folder in having if folder.runs[run_id]["status"] == "done"] or having[:1]
        problem = next(_differences(run_id, done, tolerance), None)
        if problem is not None:
            conflicts[run_id] = problem
            continue
        writer.run(run_id, done)
        written += 1
        shared += len(having) > 1
    _write_summaries(folders, target)
    writer.plugins(folders)
    remove(marker)
    return Merged(written, shared, conflicts, writer.damaged)


def _clear(into: Path) -> None:
    """Remove what a merge that was killed has written; the folder had none of that before."""
    if (into / UNFINISHED_MERGE).exists():
        for name in WRITTEN:
            with storing(into / name), suppress(FileNotFoundError):
                shutil.rmtree(into / name)
        remove(into / UNFINISHED_MERGE)


def _differences(run_id: str, folders: Sequence[_Folder], tolerance: float) -> Iterator[str]:
    """Where the metrics of one run differ between the first folder and the others."""
    first = folders[0].metrics(run_id)
    for other in folders[1:]:
        for row in _rows(first.merge(other.metrics(run_id), on=KEY, suffixes=("", "_there"))):
            a, b = (nan if row[name] is None else float(row[name]) for name in ("value", "value_there"))
            if not (a == b or (isnan(a) and isnan(b)) or abs(a - b) <= tolerance * max(abs(a), abs(b)) < inf):
                yield f"{row['metric']} on {row['split']} is {a:g} in {folders[0].store.path} and {b:g} in {other.store.path}"


@dataclass(frozen=True)
class _Writer:
    """Writes runs, and notes damaged files."""

    target: Store
    damaged: dict[str, Path | None] = field(default_factory=dict)

    def run(self, run_id: str, folders: Sequence[_Folder]) -> None:
        """Write one run: the row last, as everywhere."""
        self._evaluations(run_id, folders)
        history = next((folder.tables["history"][run_id] for folder in folders if run_id in folder.tables["history"]), None)
        if history is not None:
            self.target.write_rows("history", run_id, _rows(history))
        for kind in ("arrays", "pictures"):
            for name in dict.fromkeys(path.name for folder in folders for path in listed(folder.store.path / kind / run_id)):
                self._file(f"{kind}/{run_id}/{name}", folders)
        for share in sorted({1.0, *(share for folder in folders for share in folder.store.checkpoints(run_id))}):
            self._file(f"checkpoints/{self.target.checkpoint_path(run_id, share).name}", folders)
        self._file(f"logs/{run_id}.log", folders)
        self.target.write_rows("runs", run_id, [folders[0].runs[run_id]])

    def plugins(self, folders: Sequence[_Folder]) -> None:
        """Write the plugin files of all folders; those of one name mean the same."""
        for name in dict.fromkeys(path.name for folder in folders for path in listed(folder.store.path / "plugins")):
            self._file(f"plugins/{name}", folders)

    def _evaluations(self, run_id: str, folders: Sequence[_Folder]) -> None:
        """Write every evaluation, from the first folder that has its metrics."""
        seen: set[str] = set()
        for folder in folders:
            mine = {str(name) for name in folder.metrics(run_id)["evaluation_id"]} - seen
            for table in OF_EVALUATIONS:
                parts = folder.tables[table].get(run_id, pd.DataFrame({"evaluation_id": []}))
                for evaluation_id in mine & set(parts["evaluation_id"]):
                    self.target.write_rows(table, f"{run_id}-{evaluation_id}", _rows(parts[parts["evaluation_id"] == evaluation_id]))
            seen |= mine

    def _file(self, name: str, folders: Sequence[_Folder]) -> None:
        """Copy a file from the first folder that has it whole."""
        problems, taken = [], None
        for path in (folder.store.path / name for folder in folders):
            try:
                content = _whole(path)
            except FileNotFoundError:
                continue
            except DamagedError as error:
                problems.append(str(error))
                continue
            write_atomically(self.target.path / name, content)
            taken = path
            break
        self.damaged.update(dict.fromkeys(problems, taken))


def _whole(path: Path) -> bytes:
    """The content of a file, which is what was written to it, as far as its format can tell."""
    if path.suffix == ".safetensors":
        read_tensors(path)
    with opened(path) as file:
        content = file.read()
    if path.suffix == ".png":
        _check_picture(path, content)
    return content


def _check_picture(path: Path, content: bytes) -> None:
    """Raise a DamagedError where a checksum of a PNG is wrong."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.verify()
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedError(f"{path} is damaged ({error})") from error


def _write_summaries(folders: Sequence[_Folder], target: Store) -> None:
    """Write the summaries of all folders, those that several have once."""
    seen: set[tuple[Any, ...]] = set()
    for number, folder in enumerate(folders):
        rows = {tuple(row.values()): row for row in _rows(folder.store.read("summaries"))}
        new = [row for values, row in rows.items() if values not in seen]
        if new:
            target.write_rows("summaries", f"{folder.store.path.name}-{number}", new)
        seen |= rows.keys()


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]
