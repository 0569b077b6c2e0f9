"""The results store: tidy Parquet tables, one fragment a run and table, and safetensors beside them.

    runs/       one row a run                                  evaluations/       one row a run and evaluation: how it was measured
    metrics/    one fragment a run and evaluation              units/             numbers per latent, one fragment a run and evaluation
    history/    what training recorded                         summaries/         published or aggregated values
    arrays/     arrays for figures                             checkpoints/       trained models
    pictures/   what some of them look like                    states/            runs that are being trained, or were interrupted
    plans/      what suites have asked for                     plugins/           copies of plugin files that runs use
    tuning/     a results folder of the trials of each suite that was tuned

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
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from latentbench.errors import UserError
from latentbench.files import FolderError, listed, remove, write_atomically
from latentbench.results.fragments import Tables
from latentbench.results.tables import TABLES, DamagedError, check_version, table_schema, to_bytes
from latentbench.results.tensors import read_tensors, tensors_to_bytes

if TYPE_CHECKING:
    from torch import Tensor

FOLDERS = (*TABLES, "arrays", "checkpoints", "pictures", "states", "logs", "leases", "queue", "plans", "plugins", "tuning")
"""What a results folder consists of."""
LEFT_OVER_AFTER = 3600.0
"""Age in seconds from which a temporary file is what a killed process has left."""
STATE = ("started", "evaluated", "status", "failure_kind", "failure_message", "sources")
"""The columns of `runs` that tell its outcome."""


def revision(row: Mapping[str, Any], evaluated: Iterable[str]) -> str:
    """A hash over what the store has of a run, from its row and the ids of its evaluations: another one after every training and evaluation."""
    values = [row.get(name) for name in STATE]
    plain = [None if value is None or value != value else str(value) for value in values]  # noqa: PLR0124  # a missing one may be not a number
    return hashlib.sha256("\n".join([*map(str, plain), *sorted(evaluated)]).encode()).hexdigest()[:16]


class Store(Tables):
    """A results folder. Making one touches nothing; the first write makes the folder.

    Args:
        path: the folder.
        fence: called with a run's id as late as can be before anything of the run is replaced or removed; it may raise to forbid that.
    """

    def __init__(self, path: Path, fence: Callable[[str], None] | None = None) -> None:
        super().__init__(path)
        self.fence = fence

    def check_exists(self) -> None:
        """Raise a UserError where there is no such folder."""
        if not self.path.is_dir():
            raise UserError(f"results folder {self.path} {'is not a folder' if self.path.exists() else 'does not exist'}")

    def check_kept(self, part: str = "") -> None:
        """Raise a FolderError where the folder, or a part of it that is always there, has gone, though runs are being worked on."""
        if not (self.path / part).is_dir():
            raise FolderError(errno.ENOENT, "was removed while its runs were being worked on; the same command begins anew", str(self.path))

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

    def _expand(self, run_id: str) -> None:
        """Give a run that only a compact file has fragments of its own, so that it can be changed. Its row comes last."""
        if (self.path / "runs" / f"{run_id}.parquet").exists() or not self.compact_rows("runs", run_id):
            return
        for table in ("units", "history", "evaluations", "metrics", "runs"):
            parts: dict[str, list[dict[str, Any]]] = {}
            for row in self.compact_rows(table, run_id):
                parts.setdefault("-".join(filter(None, (run_id, row.get("evaluation_id")))), []).append(row)
            for name, rows in parts.items():
                if not (self.path / table / f"{name}.parquet").exists():
                    self.write_rows(table, name, rows)

    def evaluation_titles(self) -> dict[str, str]:
        """By evaluation id, the evaluation's name and options, as `active_units(rule=paper, threshold=0.01)`; ids that older versions have stored
        are not among them."""
        rows = self.read("evaluations", ["evaluation", "evaluation_id", "options"]).drop_duplicates("evaluation_id")
        return {i: title(name, json.loads(options or "{}")) for name, i, options in rows.itertuples(index=False, name=None)}

    def state_of(self, run_id: str) -> tuple[dict[str, Any] | None, set[str]]:
        """A run's row, and the ids of its evaluations, as they are now."""
        return self.steadily(partial(self._state_of, run_id), "runs")

    def _state_of(self, run_id: str) -> tuple[dict[str, Any] | None, set[str]]:
        own = (self.path / "runs" / f"{run_id}.parquet").exists()
        compact = [] if own else self.compact_rows("runs", run_id)
        row = self.own_row(run_id) if own else compact[0] if compact else None
        evaluated = {path.stem.removeprefix(f"{run_id}-") for path in self.fragments("metrics") if path.name.startswith(f"{run_id}-")}
        if compact:
            evaluated |= {str(metric["evaluation_id"]) for metric in self.compact_rows("metrics", run_id)}
        return row or None, evaluated

    def saved_states(self) -> set[str]:
        """The runs that have a training state."""
        return {path.stem for path in listed(self.path / "states", ".safetensors") if "@" not in path.stem}

    def write_rows(self, table: str, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the fragment `name` of a table; it replaces the fragment of that name. A run's are named by its id, with `-` and an evaluation's."""
        content = to_bytes(table, pa.Table.from_pylist([dict(row) for row in rows], schema=table_schema(table)))
        self._write(self.path / table / f"{name}.parquet", content, name.partition("-")[0])

    def update_run(self, run_id: str, changes: Mapping[str, Any]) -> None:
        """Change columns of a run's row."""
        self._expand(run_id)
        row = {}
        with suppress(FileNotFoundError):
            row = self.own_row(run_id)
        self.write_rows("runs", run_id, [{**row, **changes, "run_id": run_id}])

    def forget(self, run_id: str) -> None:
        """Remove what is stored of a run, its row first: what follows is about another model."""
        self._expand(run_id)
        if self.compaction()[0] and (self.path / "runs" / f"{run_id}.parquet").exists():
            self.write_rows("runs", run_id, [])  # a fragment without rows hides those of a compact file
        else:
            self._remove(self.path / "runs" / f"{run_id}.parquet", run_id)
        others = [path for table in TABLES if table != "runs" for path in self.fragments(table) if path.stem.partition("-")[0] == run_id]
        others += [*self._kept("checkpoints", run_id), *(path for kind in ("arrays", "pictures") for path in listed(self.path / kind / run_id))]
        for path in others:
            self._remove(path, run_id)

    def write_arrays(self, run_id: str, evaluation_id: str, arrays: Mapping[str, Tensor]) -> None:
        """Write the arrays that an evaluation made for figures."""
        self._write(self.path / "arrays" / run_id / f"{evaluation_id}.safetensors", tensors_to_bytes(arrays), run_id)

    def write_picture(self, run_id: str, name: str, picture: Tensor) -> None:
        """Write a picture, bytes [H, W] (grey) or [H, W, 3] (red, green, blue), as PNG."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(picture.cpu().numpy()).save(buffer, "PNG")
        self._write(self.path / "pictures" / run_id / f"{name}.png", buffer.getvalue(), run_id)

    def write_plan(self, name: str, content: bytes) -> None:
        """Write the record of a suite's plan."""
        write_atomically(self.path / "plans" / f"{name}.parquet", content)

    def checkpoint_path(self, run_id: str, share: float = 1.0) -> Path:
        """Where the model of a run is: the trained one, or the one after a share of its training."""
        return self.path / "checkpoints" / f"{_kept_name(run_id, share)}.safetensors"

    def checkpoints(self, run_id: str) -> list[float]:
        """The shares of a run's training whose models are there; 1 is the trained model."""
        names = {path.stem: path for path in listed(self.path / "checkpoints", ".safetensors")}
        return sorted(1.0 if name == run_id else float(name.partition("@")[2]) for name in names if name.partition("@")[0] == run_id)

    def write_checkpoint(self, run_id: str, tensors: Mapping[str, Tensor]) -> None:
        """Write a trained model, and the models that were kept on the way to it."""
        for path in self._kept("states", run_id):
            self._write(self.path / "checkpoints" / path.name, path.read_bytes(), run_id)
        self._write(self.checkpoint_path(run_id), tensors_to_bytes(tensors), run_id)

    def has_checkpoint(self, run_id: str) -> bool:
        """Whether the trained model of a run is there and whole."""
        try:
            self.read_checkpoint(run_id)
        except DamagedError:
            return False
        return True

    def read_checkpoint(self, run_id: str, share: float = 1.0) -> dict[str, Tensor]:
        """The tensors of a trained model, or of the model after a share of its training, which is there if the suite's `keep_checkpoints` had it.

        Raises:
            DamagedError: it is missing or damaged.
            FolderError: it cannot be read.
        """
        help_, path = "run the suite with --force to train it again", self.checkpoint_path(run_id, share)
        try:
            return read_tensors(path)
        except FileNotFoundError as error:
            there = ", ".join(f"{kept:g}" for kept in self.checkpoints(run_id)) or "none"
            kept = "" if share == 1 else f": its model was kept at the shares {there} of the run; add {share:g} to the suite's keep_checkpoints"
            raise DamagedError(f"checkpoint {path} is missing{kept}; {help_}") from error
        except DamagedError as error:
            raise DamagedError(f"checkpoint {error}; {help_}") from error

    def state_path(self, run_id: str) -> Path:
        """Where the state of a run that is being trained is."""
        return self.path / "states" / f"{run_id}.safetensors"

    def keep(self, run_id: str, share: float, tensors: Mapping[str, Tensor]) -> None:
        """Write the model after a share of a training; it is among the run's checkpoints once that has ended."""
        self._write(self.path / "states" / f"{_kept_name(run_id, share)}.safetensors", tensors_to_bytes(tensors), run_id)

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
        """Remove a run's state, and the models that were kept on the way."""
        for path in (self.state_path(run_id), *self._kept("states", run_id)):
            self._remove(path, run_id)

    def log_path(self, run_id: str) -> Path:
        """Where a run's process writes what it prints."""
        return self.path / "logs" / f"{run_id}.log"

    def _kept(self, folder: str, run_id: str) -> list[Path]:
        """The models that were kept on the way of a run's training."""
        return [path for path in listed(self.path / folder, ".safetensors") if path.name.startswith(f"{run_id}@")]

    def _write(self, path: Path, content: bytes, run_id: str) -> None:
        if self.fence is not None:
            self.check_kept()
        write_atomically(path, content, partial(self._check_fence, run_id))

    def _remove(self, path: Path, run_id: str) -> None:
        remove(path, partial(self._check_fence, run_id))

    def _check_fence(self, run_id: str) -> None:
        if self.fence is not None:
            self.fence(run_id)


def _kept_name(run_id: str, share: float) -> str:
    return run_id if share == 1 else f"{run_id}@{share:g}"


def title(evaluation: str, options: Mapping[str, Any]) -> str:
    """An evaluation as people name it, as `active_units(rule=paper, threshold=0.01)`."""
    return f"{evaluation}({', '.join(f'{key}={value}' for key, value in options.items())})" if options else evaluation
