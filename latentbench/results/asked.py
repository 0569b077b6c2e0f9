"""What suites have asked of a results folder: a record of every plan that was run there, so that its runs are found without the plugins.

A record counts as long as the suite and the code that planned it are the same. It is a Parquet file of the planned runs' settings, `plans/*.parquet`,
with the rest as JSON in its metadata.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from latentbench import imported
from latentbench.errors import UserError
from latentbench.files import listed, opened
from latentbench.results.store import Store
from latentbench.results.tables import RUN
from latentbench.suites.settings import digest
from latentbench.suites.suite import Leaderboard

if TYPE_CHECKING:
    from latentbench.suites.plan import Plan

FOLDER = "plans"
METADATA_KEY = b"latentbench_plan"
SCHEMA = pa.schema([("run_id", pa.string()), *RUN.items(), ("evaluations", pa.list_(pa.string()))])


@dataclass(frozen=True)
class Asked:
    """What a suite asks for: its runs, by id, as rows of settings, and the evaluations of each.

    `titles` has the evaluations' names with the options that the suite chose, by id. `digest` is the suite's; `changes` are the flags that changed
    it, and `command` is the command line that ran it.
    """

    name: str
    description: str
    expect: Sequence[str]
    leaderboard: Leaderboard | None
    digest: str
    changes: str
    runs: Mapping[str, Mapping[str, Any]]
    evaluations: Mapping[str, frozenset[str]]
    titles: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()
    at: str = ""

    @classmethod
    def of(cls, plan: Plan, command: Sequence[str] = ()) -> Self:
        """What a plan asks for."""
        return cls(
            plan.name,
            plan.description,
            plan.expect,
            plan.leaderboard,
            plan.digest,
            plan.changes,
            {item.run.id: item.run.to_row() for item in plan.runs},
            {item.run.id: frozenset(e.id for e in item.evaluations) for item in plan.runs},
            {e.id: str(e) for item in plan.runs for e in item.evaluations},
            tuple(command),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def write(self, store: Store) -> None:
        """Record it in a results folder; it replaces a record of the same suite, changed in the same way, on the same kind of device."""
        devices = sorted({str(row["device"]) for row in self.runs.values()})
        rows = [{**row, "evaluations": sorted(self.evaluations[run_id])} for run_id, row in self.runs.items()]
        board = None if self.leaderboard is None else self.leaderboard.model_dump(mode="json")
        about = {name: getattr(self, name) for name in ("name", "description", "expect", "digest", "changes", "titles", "command", "at")}
        metadata = {METADATA_KEY: json.dumps({**about, "leaderboard": board, "code": code()}).encode()}
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA).replace_schema_metadata(metadata), buffer, compression="zstd")
        store.write_plan(digest({"suite": self.digest, "changes": self.changes, "devices": devices}), buffer.getvalue())


def records(path: Path, suite: str | None = None) -> list[Asked]:
    """What a results folder has recorded with the code that there is now, oldest first; of the suite with that digest, if one is given.

    Raises:
        UserError: a record is damaged.
    """
    found = [asked for file in listed(path / FOLDER, ".parquet") if (asked := _read(file, suite)) is not None]
    return sorted(found, key=lambda asked: asked.at)


def _read(path: Path, suite: str | None) -> Asked | None:
    try:
        with opened(path) as file:
            parquet = pq.ParquetFile(file)
            about = json.loads((parquet.schema_arrow.metadata or {})[METADATA_KEY])
            if about.pop("code") != code() or suite not in (None, about["digest"]):
                return None
            rows = parquet.read().to_pylist()
        board = about.pop("leaderboard")
        evaluations = {row["run_id"]: frozenset(row.pop("evaluations")) for row in rows}
        leaderboard = None if board is None else Leaderboard.model_validate(board)
        return Asked(**about, leaderboard=leaderboard, runs={row["run_id"]: row for row in rows}, evaluations=evaluations)
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise UserError(
            f"{path} is damaged ({problem}); remove it: it only records what a suite asked for, and the suite is planned again"
        ) from error


@cache
def code() -> str:
    """A hash over the sources of latentbench and of all plugin packages, found without importing them: other code may plan other runs."""
    hashed = hashlib.sha256()
    for package in sorted(imported.packages()):
        for file in _files(package):
            hashed.update(file.read_bytes())
    return hashed.hexdigest()


def _files(package: str) -> list[Path]:
    """The source files of a package, or of a single module."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    single = [] if folders or not spec.origin else [Path(spec.origin)]
    return single + [file for folder in folders for file in sorted(folder.rglob("*.py"))]
