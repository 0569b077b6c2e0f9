"""The results store: tidy Parquet tables, one fragment a run and table, and safetensors beside them.

    runs/       one row a run                                  evaluations/       one row a run and evaluation: how it was measured
    metrics/    one fragment a run and evaluation              units/             numbers per latent, one fragment a run and evaluation
    history/    what training recorded                         summaries/         published or aggregated values
    arrays/     arrays for figures                             checkpoints/       trained models
    pictures/   what some of them look like                    states/            runs that are being trained, or were interrupted

Every fragment is written to a temporary name and renamed, so a reader never sees half of one. The row in `runs` is written last: where it says
`done`, the trained model is there, and so is every evaluation that did not fail; where an evaluation's metrics are, the rest of it is.
`pandas.read_parquet("results/metrics")` reads a whole table.

A compact file of a table (`latentbench.execution.compaction`) holds rows of many runs. That of `runs` is written last, and makes those of its number
count; a run's own fragments hide its rows there: the one in `runs` all of them, any other those of its evaluation.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latentbench.errors import UserError
from latentbench.files import FolderError, listed, remove, write_atomically
from latentbench.results.tables import TABLES, DamagedError, check_json, check_version, compact_number, damaged, read_fragment, table_schema, to_bytes
from latentbench.results.tensors import read_tensors, tensors_to_bytes

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

T = TypeVar("T")
EVALUATION_FAILED = "evaluation"
"""The failure kind of a run that was trained, while one of its evaluations failed; its status is `done`."""
KEYS = {"summaries": (), "runs": ("run_id",), "history": ("run_id",)}
"""The columns that say which rows come from one fragment, where they are not a run's and an evaluation's ids."""
FOLDERS = (*TABLES, "arrays", "checkpoints", "pictures", "states", "logs", "leases", "queue")
"""What a results folder consists of."""
UNFINISHED_MERGE = ".merging"
"""The file in a results folder that `latentbench merge` has not finished."""
READ_AGAIN = 100
"""How often a table is listed again because a file of it has gone."""
LEFT_OVER_AFTER = 3600.0
"""Age in seconds from which a temporary file is what a killed process has left."""
STATE = ("started", "evaluated", "status", "failure_kind", "failure_message", "sources")
"""The columns of `runs` that tell its outcome."""


def revision(row: Mapping[str, Any], evaluated: Iterable[str]) -> str:
    """A hash over what the store has of a run, from its row and the ids of its evaluations: another one after every training and evaluation."""
    values = [row.get(name) for name in STATE]
    plain = [None if value is None or value != value else str(value) for value in values]  # noqa: PLR0124  # a missing one may be not a number
    return hashlib.sha256("\n".join([*map(str, plain), *sorted(evaluated)]).encode()).hexdigest()[:16]


class _ChangedError(Exception):
    """The folder was compacted, or a run of a compact file changed, while a table was read."""


class Store:
    """A results folder. Making one touches nothing; the first write makes the folder.

    Args:
        path: the folder.
        fence: called with a run's id as late as can be before anything of the run is replaced or removed; it may raise to forbid that.
    """

    def __init__(self, path: Path, fence: Callable[[str], None] | None = None) -> None:
        self.path, self.fence = path, fence

    def check_exists(self) -> None:
        """Raise a UserError where there is no such folder."""
        if not self.path.is_dir():
            raise UserError(f"results folder {self.path} {'is not a folder' if self.path.exists() else 'does not exist'}")

    def check_kept(self, part: str = "") -> None:
        """Raise a FolderError where the folder, or a part of it that is always there, has gone, though runs are being worked on."""
        if not (self.path / part).is_dir():
            raise FolderError(errno.ENOENT, "was removed while its runs were being worked on; the same command begins anew", str(self.path))

    def check_whole(self) -> None:
        """Raise a UserError where `latentbench merge` was killed."""
        marker = self.path / UNFINISHED_MERGE
        if marker.exists():
            raise UserError(f"{marker}: a merge into {self.path} was interrupted; repeat that `latentbench merge`, or remove the folder")

    def check_writable(self) -> None:
        """Raise a UserError if runs cannot be stored here, or if a newer latentbench wrote here.

        What killed processes have left half written is removed.
        """
        self.check_whole()
        probe = self.path / f".probe.{uuid.uuid4().hex}"
        try:
            write_atomically(probe, b"")
            now = probe.stat().st_mtime
            probe.unlink()
            for folder in (self.path / name for name in FOLDERS):
                if folder.exists() and not folder.is_dir():
                    raise UserError(f"{folder} is in the way: results have a folder of that name; move it away")
                for left_over in listed(folder, ".tmp", hidden=True):
                    with suppress(FileNotFoundError):  # others write here
                        if now - left_over.stat().st_mtime > LEFT_OVER_AFTER:
                            left_over.unlink()
        except FolderError:
            raise
        except OSError as error:
            raise UserError(f"results folder {self.path} is not writable: {error.strerror or error}") from error
        for table in TABLES:
            for fragment in self.fragments(table)[:1]:
                with suppress(FileNotFoundError, FolderError, DamagedError):  # readers tell of these
                    check_version(fragment)

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
        return self._steadily(partial(self._rows, table, list(columns or TABLES[table])), table)

    def _steadily(self, read: Callable[[], T], table: str) -> T:
        """What `read` returns; it is called again where files have gone since they were listed, as by compaction: what replaces them is there."""
        for _ in range(READ_AGAIN):
            with suppress(FileNotFoundError, _ChangedError):
                return read()
        raise UserError(f"{self.path / table} cannot be read: its files are being replaced all the time")

    def _rows(self, table: str, names: list[str]) -> pa.Table:
        keys = KEYS.get(table, ("run_id", "evaluation_id"))
        wanted = list(dict.fromkeys([*names, *keys]))
        number, changed = self._compaction()
        files = self.fragments(table)
        own, compact = [path for path in files if compact_number(path) is None], _newest(files, number)
        parts = [(path, read_fragment(path, table, wanted)) for path in own]
        if compact is not None:
            part = read_fragment(compact, table, wanted)
            replaced = pc.is_in(_joined(part, keys), pa.array([path.stem for path in own], pa.string()))
            replaced = pc.or_(replaced, pc.is_in(part["run_id"], pa.array(sorted(changed), pa.string())))
            parts.append((compact, part.filter(pc.invert(replaced))))
        now, changed_now = self._compaction()
        if now != number or (compact is not None and (changed ^ changed_now) & set(part["run_id"].unique().to_pylist())):
            raise _ChangedError
        whole = pa.concat_tables([table_schema(table).remove_metadata().empty_table().select(names), *(part.select(names) for _, part in parts)])
        check_json([(path, part.select(names)) for path, part in parts], whole)
        if keys:
            _check_copies(table, parts, keys)
        return whole

    def _compaction(self) -> tuple[int, set[str]]:
        """The number of the last compaction, 0 where there was none, and the runs that have a row of their own."""
        files = {path.stem: compact_number(path) for path in self.fragments("runs")}
        return max((n for n in files.values() if n is not None), default=0), {name for name, n in files.items() if n is None}

    def _compact_rows(self, table: str, run_id: str) -> list[dict[str, Any]]:
        """A run's rows in a compact file."""

        def read() -> list[dict[str, Any]]:
            path = _newest(self.fragments(table), self._compaction()[0])
            return [] if path is None else list(read_fragment(path, table, list(TABLES[table]), run_id).to_pylist())

        return self._steadily(read, table)

    def _expand(self, run_id: str) -> None:
        """Give a run that only a compact file has fragments of its own, so that it can be changed. Its row comes last."""
        if (self.path / "runs" / f"{run_id}.parquet").exists() or not self._compact_rows("runs", run_id):
            return
        for table in ("units", "history", "evaluations", "metrics", "runs"):
            parts: dict[str, list[dict[str, Any]]] = {}
            for row in self._compact_rows(table, run_id):
                parts.setdefault("-".join(filter(None, (run_id, row.get("evaluation_id")))), []).append(row)
            for name, rows in parts.items():
                if not (self.path / table / f"{name}.parquet").exists():
                    self.write_rows(table, name, rows)

    def run_states(self) -> dict[str, dict[str, Any]]:
        """When it began, status, failure and source hashes of every stored run, by run id."""
        frame = self.read("runs", ["run_id", *STATE])
        return {str(row["run_id"]): {str(key): value for key, value in row.items()} for row in frame.to_dict("records")}

    def evaluated(self) -> dict[str, set[str]]:
        """The ids of all evaluations of every run: of those whose metrics are there."""
        frame = self.read("metrics", ["run_id", "evaluation_id"]).drop_duplicates()
        found: dict[str, set[str]] = {}
        for run_id, evaluation_id in frame.itertuples(index=False, name=None):
            found.setdefault(run_id, set()).add(evaluation_id)
        return found

    def evaluation_sources(self) -> dict[str, dict[str, str]]:
        """By run id and evaluation id, as JSON, the sources of the code that measured; what older versions have stored is not among them."""
        frame = self.read("evaluations", ["run_id", "evaluation_id", "sources"])
        found: dict[str, dict[str, str]] = {}
        for run_id, evaluation_id, sources in frame.itertuples(index=False, name=None):
            found.setdefault(run_id, {})[evaluation_id] = sources
        return found

    def evaluation_titles(self) -> dict[str, str]:
        """By evaluation id, the evaluation's name and options, as `active_units(rule=paper, threshold=0.01)`; ids that older versions have stored
        are not among them."""
        rows = self.read("evaluations", ["evaluation", "evaluation_id", "options"]).drop_duplicates("evaluation_id")
        return {i: name + _as_words(json.loads(options or "{}")) for name, i, options in rows.itertuples(index=False, name=None)}

    def state_of(self, run_id: str) -> tuple[dict[str, Any] | None, set[str]]:
        """A run's row, and the ids of its evaluations, as they are now."""
        return self._steadily(partial(self._state_of, run_id), "runs")

    def _state_of(self, run_id: str) -> tuple[dict[str, Any] | None, set[str]]:
        own = (self.path / "runs" / f"{run_id}.parquet").exists()
        compact = [] if own else self._compact_rows("runs", run_id)
        row = self._row(run_id) if own else compact[0] if compact else None
        evaluated = {path.stem.removeprefix(f"{run_id}-") for path in self.fragments("metrics") if path.name.startswith(f"{run_id}-")}
        if compact:
            evaluated |= {str(metric["evaluation_id"]) for metric in self._compact_rows("metrics", run_id)}
        return row or None, evaluated

    def saved_states(self) -> set[str]:
        """The runs that have a training state."""
        return {path.stem for path in listed(self.path / "states", ".safetensors")}

    def write_rows(self, table: str, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the fragment `name` of a table; it replaces the fragment of that name. A run's are named by its id, with `-` and an evaluation's."""
        content = to_bytes(table, pa.Table.from_pylist([dict(row) for row in rows], schema=table_schema(table)))
        self._write(self.path / table / f"{name}.parquet", content, name.partition("-")[0])

    def update_run(self, run_id: str, changes: Mapping[str, Any]) -> None:
        """Change columns of a run's row."""
        self._expand(run_id)
        row = {}
        with suppress(FileNotFoundError):
            row = self._row(run_id)
        self.write_rows("runs", run_id, [{**row, **changes, "run_id": run_id}])

    def _row(self, run_id: str) -> dict[str, Any]:
        """A run's own row; empty where that only hides the one of a compact file."""
        rows = read_fragment(self.path / "runs" / f"{run_id}.parquet", "runs", list(TABLES["runs"])).to_pylist()
        return dict(rows[0]) if rows else {}

    def forget(self, run_id: str) -> None:
        """Remove what is stored of a run, its row first: what follows is about another model."""
        self._expand(run_id)
        if self._compaction()[0] and (self.path / "runs" / f"{run_id}.parquet").exists():
            self.write_rows("runs", run_id, [])  # a fragment without rows hides those of a compact file
        else:
            self._remove(self.path / "runs" / f"{run_id}.parquet", run_id)
        others = [path for table in TABLES if table != "runs" for path in self.fragments(table) if path.stem.partition("-")[0] == run_id]
        for path in (*others, *(path for kind in ("arrays", "pictures") for path in listed(self.path / kind / run_id))):
            self._remove(path, run_id)

    def write_arrays(self, run_id: str, evaluation_id: str, arrays: Mapping[str, Tensor]) -> None:
        """Write the arrays that an evaluation made for figures."""
        self._write(self.path / "arrays" / run_id / f"{evaluation_id}.safetensors", tensors_to_bytes(arrays), run_id)

    def write_picture(self, run_id: str, name: str, picture: Tensor) -> None:
        """Write a picture, grey bytes [H, W], as PNG."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(picture.cpu().numpy()).save(buffer, "PNG")
        self._write(self.path / "pictures" / run_id / f"{name}.png", buffer.getvalue(), run_id)

    def checkpoint_path(self, run_id: str) -> Path:
        """Where the trained model of a run is."""
        return self.path / "checkpoints" / f"{run_id}.safetensors"

    def write_checkpoint(self, run_id: str, tensors: Mapping[str, Tensor]) -> None:
        """Write a trained model."""
        self._write(self.checkpoint_path(run_id), tensors_to_bytes(tensors), run_id)

    def has_checkpoint(self, run_id: str) -> bool:
        """Whether the trained model of a run is there and whole."""
        try:
            self.read_checkpoint(run_id)
        except DamagedError:
            return False
        return True

    def read_checkpoint(self, run_id: str) -> dict[str, Tensor]:
        """The tensors of a trained model.

        Raises:
            DamagedError: it is missing or damaged.
            FolderError: it cannot be read.
        """
        help_ = "run the suite with --force to train it again"
        try:
            return read_tensors(self.checkpoint_path(run_id))
        except FileNotFoundError as error:
            raise DamagedError(f"checkpoint {self.checkpoint_path(run_id)} is missing; {help_}") from error
        except DamagedError as error:
            raise DamagedError(f"checkpoint {error}; {help_}") from error

    def state_path(self, run_id: str) -> Path:
        """Where the state of a run that is being trained is."""
        return self.path / "states" / f"{run_id}.safetensors"

    def write_state(self, run_id: str, tensors: Mapping[str, Tensor]) -> None:
        """Write the state that an interrupted run resumes from."""
        self._write(self.state_path(run_id), tensors_to_bytes(tensors), run_id)

    def read_state(self, run_id: str) -> dict[str, Tensor] | None:
        """The state that an interrupted run resumes from; None where there is none, or where it is damaged, which a warning says.

        Raises:
            FolderError: it cannot be read.
        """
        try:
            return read_tensors(self.state_path(run_id))
        except FileNotFoundError:
            return None
        except DamagedError as error:
            warnings.warn(f"the training state {error} and is not used: the run starts anew", stacklevel=2)
            return None

    def forget_state(self, run_id: str) -> None:
        """Remove a run's state."""
        self._remove(self.state_path(run_id), run_id)

    def log_path(self, run_id: str) -> Path:
        """Where a run's process writes what it prints."""
        return self.path / "logs" / f"{run_id}.log"

    def _write(self, path: Path, content: bytes, run_id: str) -> None:
        if self.fence is not None:
            self.check_kept()
        write_atomically(path, content, partial(self._check_fence, run_id))

    def _remove(self, path: Path, run_id: str) -> None:
        remove(path, partial(self._check_fence, run_id))

    def _check_fence(self, run_id: str) -> None:
        if self.fence is not None:
            self.fence(run_id)


def _as_words(options: Mapping[str, Any]) -> str:
    return f"({', '.join(f'{key}={value}' for key, value in options.items())})" if options else ""


def _newest(files: Iterable[Path], number: int) -> Path | None:
    """The compact file that counts: the newest of those that are no newer than the last compaction."""
    found = {n: path for path in files if (n := compact_number(path)) is not None and n <= number}
    return found[max(found)] if found else None


def _joined(part: pa.Table, keys: Sequence[str]) -> pa.ChunkedArray:
    """The name of the fragment that would hold each row."""
    return pc.binary_join_element_wise(*(part[key] for key in keys), "-") if len(keys) > 1 else part["run_id"]


def _check_copies(table: str, parts: Sequence[tuple[Path, pa.Table]], keys: Sequence[str]) -> None:
    """Raise a UserError where two files have rows of one run (and evaluation), or a run has two rows in `runs`."""
    names = pa.chunked_array([chunk for _, part in parts for chunk in _joined(part, keys).chunks], pa.string())
    rows = pa.table({"name": names, "file": np.repeat(np.arange(len(parts)), [len(part) for _, part in parts])})
    if table != "runs":
        rows = rows.group_by(["name", "file"]).aggregate([])
    files = rows.group_by("name").aggregate([("file", "count"), ("file", "min"), ("file", "max")])
    for copy in files.filter(pc.field("file_count") > 1).slice(0, 1).to_pylist():
        one, other = (parts[copy[f"file_{which}"]][0] for which in ("min", "max"))
        if one == other:
            raise DamagedError(damaged(one, f"it has two rows of run {copy['name']}"))
        raise UserError(f"{one} and {other} both have {table} of {copy['name']}: one of them is a copy; remove that")
