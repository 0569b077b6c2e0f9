"""The results store: tidy Parquet tables, one fragment a run and table, and safetensors beside them.

    runs/       one row a run                                  metrics/, units/   one fragment a run and evaluation
    history/    what training recorded                         summaries/         published or aggregated values
    arrays/     arrays for figures                             checkpoints/       trained models
    pictures/   what some of them look like                    states/            runs that are being trained, or were interrupted

Every fragment is written to a temporary name and renamed, so a reader never sees half of one. The row in `runs` is written last: where it says
`done`, the trained model is there, and so is every evaluation that did not fail. `pandas.read_parquet("results/metrics")` reads a whole table.
"""

from __future__ import annotations

import hashlib
import io
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from latentbench.errors import UserError
from latentbench.files import remove, write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

SCHEMA_VERSION = 3
EVALUATION_FAILED = "evaluation"
"""The failure kind of a run that was trained, while one of its evaluations failed; its status is `done`."""
METADATA_KEY = b"latentbench_schema"

_TEXT, _FLOAT, _INT, _BOOL, _TIME = pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.timestamp("us", tz="UTC")
SETTINGS = {
    "family": _TEXT, "family_options": _TEXT, "estimator": _TEXT, "estimator_options": _TEXT, "dataset": _TEXT, "likelihood": _TEXT,
    "encoder": _TEXT, "encoder_options": _TEXT, "decoder": _TEXT, "decoder_options": _TEXT, "latent_dim": _INT, "beta": _FLOAT,
    "protocol": _TEXT, "dtype": _TEXT, "compile": _BOOL, "device": _TEXT, "limit_data": _FLOAT, "training": _TEXT,
}  # fmt: skip
"""Settings of a run; the nested ones (options, training) are JSON texts."""
_METRIC = {"split": _TEXT, "metric": _TEXT, "index_name": _TEXT, "index": _FLOAT, "value": _FLOAT}
_EVALUATION = {"run_id": _TEXT, "evaluation": _TEXT, "evaluation_id": _TEXT}
TABLES: dict[str, dict[str, pa.DataType]] = {
    "runs": {
        "run_id": _TEXT, **SETTINGS, "seed": _INT, "source": _TEXT, "status": _TEXT, "failure_kind": _TEXT, "failure_message": _TEXT,
        "cost": _TEXT, "parameters": _INT, "steps": _INT, "started": _TIME, "evaluated": _TIME, "wall_seconds": _FLOAT,
        "train_seconds": _FLOAT, "device_seconds": _FLOAT, "steps_per_second": _FLOAT, "peak_memory_bytes": _INT,
        "device_peak_memory_bytes": _INT, "plugins": _TEXT, "dataset_sources": _TEXT, "sources": _TEXT, "versions": _TEXT, "host": _TEXT,
        "device_name": _TEXT, "driver": _TEXT, "threads": _INT, "numerics": _TEXT, "hardware": _TEXT, "git_sha": _TEXT, "git_dirty": _BOOL,
    },
    "evaluations": {
        **_EVALUATION, "options": _TEXT, "version": _TEXT, "sources": _TEXT, "versions": _TEXT, "host": _TEXT, "device_name": _TEXT,
        "started": _TIME, "seconds": _FLOAT,
    },
    "metrics": {**_EVALUATION, **_METRIC, "standard_error": _FLOAT, "n": _INT},
    "units": {**_EVALUATION, "split": _TEXT, "unit": _INT, "metric": _TEXT, "value": _FLOAT},
    "history": {"run_id": _TEXT, "step": _INT, "name": _TEXT, "value": _FLOAT},
    "summaries": {**SETTINGS, **_METRIC, "interval": _FLOAT, "source": _TEXT},
}  # fmt: skip


READ_AGAIN = 100
"""How often a table is listed again because a file of it has gone."""
LEFT_OVER_AFTER = 3600.0
"""Age in seconds from which a temporary file is what a killed process has left."""
CHECKSUM = "sha256"
"""The entry of a safetensors file's metadata that holds the hash over its tensors."""


COMPACT_ROWS = 20_000
"""Rows of a row group in compact files: of one run, the others need not be read."""
COMPACT = "compact-"
"""What the names of compact files begin with; a run's id is hexadecimal and cannot."""


def _is_compact(path: Path) -> bool:
    return path.name.startswith(COMPACT)


STATE = ("started", "evaluated", "status", "failure_kind", "failure_message", "sources")
"""The columns of `runs` that say what became of a run."""


def revision(row: Mapping[str, Any], evaluated: Iterable[str]) -> str:
    """A hash over what the store has of a run, from its row and the ids of its evaluations: another one after every training and evaluation."""
    values = [row.get(name) for name in STATE]
    plain = [None if value is None or value != value else str(value) for value in values]  # noqa: PLR0124  # a missing one may be not a number
    return hashlib.sha256("\n".join([*map(str, plain), *sorted(evaluated)]).encode()).hexdigest()[:16]


class _DamagedError(Exception):
    """A file does not hold what was written."""


class Store:
    """A results folder. Making one touches nothing; the first write makes the folder."""

    def __init__(self, path: Path, fence: object = None) -> None:
        self.path = path

    def check_exists(self) -> None:
        """Raise a UserError where there is no such folder."""
        if not self.path.is_dir():
            raise UserError(f"results folder {self.path} {'is not a folder' if self.path.exists() else 'does not exist'}")

    def check_writable(self) -> None:
        """Raise a UserError if runs cannot be stored here, or if a newer latentbench wrote here.

        What killed processes have left half written is removed.
        """
        probe = self.path / f".probe.{uuid.uuid4().hex}"
        try:
            write_atomically(probe, b"")
            now = probe.stat().st_mtime
            probe.unlink()
            for left_over in self.path.glob("*/.*.tmp"):
                with suppress(FileNotFoundError):  # others write here
                    if now - left_over.stat().st_mtime > LEFT_OVER_AFTER:
                        left_over.unlink()
        except OSError as error:
            raise UserError(f"results folder {self.path} is not writable: {error.strerror or error}") from error
        for table in TABLES:
            for fragment in self._fragments(table)[:1]:
                with suppress(FileNotFoundError):
                    _check_version(fragment)

    def read(self, table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A whole table; empty, with its columns, where nothing was stored.

        Raises:
            UserError: a fragment is damaged, or was written by a newer latentbench.
        """
        for _ in range(READ_AGAIN):
            with suppress(FileNotFoundError):  # removed since it was listed, as by `compact`: what replaces it is there
                return self._read(table, list(columns or TABLES[table]))
        raise UserError(f"{self.path / table} cannot be read: its files are being removed all the time")

    def _read(self, table: str, names: list[str]) -> pd.DataFrame:
        fragments = self._fragments(table)
        own = [path for path in fragments if not _is_compact(path)]
        parts = [_read_fragment(path, names) for path in own]
        parts += self._compacted(table, names, own, [path for path in fragments if _is_compact(path)])
        empty = _schema(table).empty_table().select(names)
        frame: pd.DataFrame = pa.concat_tables([empty, *(part.cast(empty.schema) for part in parts)]).to_pandas()
        return frame

    def _compacted(self, table: str, names: list[str], own: Sequence[Path], compact: Sequence[Path]) -> list[pa.Table]:
        """What compact files have and nothing newer replaces: the newest of them wins, and over it a run's own fragments."""
        if not compact:
            return []
        hidden = {path.stem for path in self._fragments("runs") if not _is_compact(path)}
        stems, parts = pa.array(sorted(path.stem for path in own), pa.string()), []
        keys = ["run_id", *(["evaluation_id"] if "evaluation_id" in TABLES[table] else [])]
        for path in sorted(compact, reverse=True):
            part = _read_fragment(path, list(dict.fromkeys([*names, *keys])))
            found = pc.unique(part["run_id"]).to_pylist()
            name = pc.binary_join_element_wise(*(part[key] for key in keys), "-") if len(keys) > 1 else part["run_id"]
            replaced = pc.or_(pc.is_in(part["run_id"], pa.array(sorted(hidden), pa.string())), pc.is_in(name, stems))
            parts.append(part.filter(pc.invert(replaced)).select(names))
            hidden |= set(found)
        return parts

    def compact(self) -> int:
        """Join the fragments of every table but `summaries` into one file each; return how many files that saves.

        Readers see the same rows before, after, and when this is killed in between: a run's own fragments hide its rows in compact files, and rows
        of `runs` go first. Nobody may write meanwhile.
        """
        tables = [table for table in TABLES if table != "summaries"]
        before = {table: self._fragments(table) for table in tables}
        number = 1 + max((int(path.stem.rpartition("-")[2]) for paths in before.values() for path in paths if _is_compact(path)), default=0)
        for table in tables:
            if before[table]:
                rows = pa.Table.from_pandas(self.read(table), schema=_schema(table), preserve_index=False)
                buffer = io.BytesIO()
                pq.write_table(rows, buffer, compression="zstd", row_group_size=COMPACT_ROWS)
                write_atomically(self.path / table / f"{COMPACT}{number:06d}.parquet", buffer.getvalue())
        for table in sorted(tables, key=lambda name: name != "runs"):
            for path in before[table]:
                remove(path)
        return sum(map(len, before.values())) - sum(bool(paths) for paths in before.values())

    def _expand(self, run_id: str) -> None:
        """Give a run that only a compact file has fragments of its own, so that it can be changed. Its row comes last."""
        if (self.path / "runs" / f"{run_id}.parquet").exists() or not self._compact_rows("runs", run_id):
            return
        for table in ("units", "history", "metrics", "runs"):
            parts: dict[str, list[dict[str, Any]]] = {}
            for row in self._compact_rows(table, run_id):
                parts.setdefault("-".join(filter(None, (run_id, row.get("evaluation_id")))), []).append(row)
            for name, rows in parts.items():
                if not (self.path / table / f"{name}.parquet").exists():
                    self.write_rows(table, name, rows)

    def _compact_rows(self, table: str, run_id: str) -> list[dict[str, Any]]:
        """A run's rows in the newest compact file that has some."""
        for path in sorted(filter(_is_compact, self._fragments(table)), reverse=True):
            ids = _read_fragment(path, ["run_id"])["run_id"]
            if pc.index(ids, run_id).as_py() >= 0:
                rows: list[dict[str, Any]] = _read_fragment(path, list(TABLES[table]), filters=[("run_id", "==", run_id)]).to_pylist()
                return rows
        return []

    def exists(self) -> bool:
        """Whether there is any table."""
        return any(self._fragments(table) for table in TABLES)

    def run_states(self) -> dict[str, dict[str, Any]]:
        """When it began, status, failure and source hashes of every stored run, by run id."""
        frame = self.read("runs", ["run_id", *STATE])
        return {str(row["run_id"]): {str(key): value for key, value in row.items()} for row in frame.to_dict("records")}

    def evaluated(self) -> dict[str, set[str]]:
        """The ids of all evaluations of every run."""
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

    def write_rows(self, table: str, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the fragment `name` of a table; it replaces the fragment of that name."""
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=_schema(table)), buffer, compression="zstd")
        write_atomically(self.path / table / f"{name}.parquet", buffer.getvalue())

    def update_run(self, run_id: str, changes: Mapping[str, Any]) -> None:
        """Change columns of a run's row."""
        self._expand(run_id)
        rows = self._row(run_id)
        self.write_rows("runs", run_id, [{**rows, **changes, "run_id": run_id}])

    def _row(self, run_id: str) -> dict[str, Any]:
        try:
            rows = _read_fragment(self.path / "runs" / f"{run_id}.parquet", list(TABLES["runs"])).to_pylist()
        except FileNotFoundError:
            return {}
        return dict(rows[0]) if rows else {}

    def forget(self, run_id: str) -> None:
        """Remove what is stored of a run, its row first: what follows is about another model."""
        self._expand(run_id)
        hides = any(map(_is_compact, self._fragments("runs"))) and bool(self._row(run_id))
        for path in [self.path / "runs" / f"{run_id}.parquet", *(p for t in TABLES for p in (self.path / t).glob(f"{run_id}[-.]*"))]:
            remove(path)
        if hides:
            self.write_rows("runs", run_id, [])  # a fragment without rows hides those of a compact file
        for path in (p for kind in ("arrays", "pictures") for p in (self.path / kind / run_id).glob("*")):
            remove(path)

    def write_arrays(self, run_id: str, evaluation_id: str, arrays: Mapping[str, Tensor]) -> None:
        """Write the arrays that an evaluation made for figures."""
        self._write_tensors(self.path / "arrays" / run_id / f"{evaluation_id}.safetensors", arrays)

    def write_picture(self, run_id: str, name: str, picture: Tensor) -> None:
        """Write a picture, grey bytes [H, W], as PNG."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(picture.cpu().numpy()).save(buffer, "PNG")
        write_atomically(self.path / "pictures" / run_id / f"{name}.png", buffer.getvalue())

    def checkpoint_path(self, run_id: str) -> Path:
        """Where the trained model of a run is."""
        return self.path / "checkpoints" / f"{run_id}.safetensors"

    def write_checkpoint(self, run_id: str, tensors: Mapping[str, Tensor]) -> None:
        """Write a trained model."""
        self._write_tensors(self.checkpoint_path(run_id), tensors)

    def has_checkpoint(self, run_id: str) -> bool:
        """Whether the trained model of a run is there and whole."""
        try:
            self.read_checkpoint(run_id)
        except UserError:
            return False
        return True

    def read_checkpoint(self, run_id: str) -> dict[str, Tensor]:
        """The tensors of a trained model.

        Raises:
            UserError: it is missing or damaged.
        """
        path = self.checkpoint_path(run_id)
        try:
            return _read_tensors(path)
        except (OSError, _DamagedError) as error:
            raise UserError(f"checkpoint {path} cannot be read: {error}; run the suite with --force to train it again") from error

    def state_path(self, run_id: str) -> Path:
        """Where the state of a run that is being trained is."""
        return self.path / "states" / f"{run_id}.safetensors"

    def write_state(self, run_id: str, tensors: Mapping[str, Tensor]) -> None:
        """Write the state that an interrupted run goes on from."""
        self._write_tensors(self.state_path(run_id), tensors)

    def read_state(self, run_id: str) -> dict[str, Tensor] | None:
        """The state that an interrupted run goes on from; None where there is none, or where it is damaged, which a warning says."""
        path = self.state_path(run_id)
        try:
            return _read_tensors(path)
        except FileNotFoundError:
            return None
        except _DamagedError as error:
            warnings.warn(f"the training state {path} is damaged ({error}) and is not used: the run starts anew", stacklevel=2)
            return None

    def forget_state(self, run_id: str) -> None:
        """Remove a run's state."""
        remove(self.state_path(run_id))

    def log_path(self, run_id: str) -> Path:
        """Where a run's process writes what it prints."""
        return self.path / "logs" / f"{run_id}.log"

    def state_of(self, run_id: str) -> tuple[dict[str, Any] | None, set[str]]:
        """A run's row, and the ids of its evaluations, as they are now."""
        own = self.path / "runs" / f"{run_id}.parquet"
        compact = [] if own.exists() else self._compact_rows("runs", run_id)
        row = compact[0] if compact else self._row(run_id)
        evaluated = {path.stem.removeprefix(f"{run_id}-") for path in (self.path / "metrics").glob(f"{run_id}-*.parquet")}
        if compact:
            evaluated |= {str(metric["evaluation_id"]) for metric in self._compact_rows("metrics", run_id)}
        return row or None, evaluated

    def _write_tensors(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        """Write tensors with a checksum, which safetensors itself has none of."""
        from safetensors.torch import save

        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        write_atomically(path, save(plain, {CHECKSUM: _checksum(plain)}))

    def _fragments(self, table: str) -> list[Path]:
        return sorted(p for p in (self.path / table).glob("*.parquet") if not p.name.startswith("."))


def _read_tensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            expected = (file.metadata() or {}).get(CHECKSUM)
    except SafetensorError as error:
        raise _DamagedError(str(error)) from error
    if _checksum(tensors) != expected:
        raise _DamagedError("its checksum is wrong")
    return tensors


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    import torch

    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return total.hexdigest()


def _schema(table: str) -> pa.Schema:
    return pa.schema(list(TABLES[table].items()), metadata={METADATA_KEY: str(SCHEMA_VERSION).encode()})


def _read_fragment(path: Path, columns: list[str], filters: list[tuple[str, str, str]] | None = None) -> pa.Table:
    """Columns of a fragment; those that its schema version did not have yet are missing values.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it is damaged, or was written by a newer latentbench.
    """
    there = _check_version(path)
    try:
        table = pq.read_table(path, columns=[name for name in columns if name in there.names], filters=filters, partitioning=None)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    for place, name in enumerate(columns):
        if name not in there.names:
            table = table.add_column(place, name, pa.nulls(len(table), pa.null()))
    return table


def _check_version(path: Path) -> pa.Schema:
    """The schema of a fragment, which this latentbench can read."""
    try:
        schema = pq.read_schema(path)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    found = (schema.metadata or {}).get(METADATA_KEY, b"").decode(errors="replace")
    if not found.isdecimal():
        raise UserError(f"{path} is not a fragment of a latentbench store: its metadata has no schema version")
    if int(found) > SCHEMA_VERSION:
        raise UserError(f"{path} has schema version {found}, this latentbench reads up to {SCHEMA_VERSION}; install a newer latentbench")
    return schema


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is damaged ({' '.join(str(error).split())}); remove it and run the suite again")
