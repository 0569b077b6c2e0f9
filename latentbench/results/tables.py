"""The tables of a results folder: their columns, and the Parquet files that hold their rows.

A file has its schema's version in its metadata. One of an older schema lacks the columns that came later, which are missing values then; any other
column that is missing, or has another type, is damage.
"""

from __future__ import annotations

import io
import json
import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from latentbench.errors import UserError
from latentbench.files import opened
from latentbench.results.arrow import texts
from latentbench.suites.settings import Run

SCHEMA_VERSION = 4
METADATA_KEY = b"latentbench_schema"

_TEXT, _FLOAT, _INT, _BOOL, _TIME = pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.timestamp("us", tz="UTC")


def _column(annotation: Any) -> pa.DataType:
    """The type of the column of a run's field, as `Run.to_row` gives it: a mapping is a JSON text."""
    kinds = [kind for kind in get_args(annotation) or (annotation,) if kind is not NoneType]
    return {int: _INT, float: _FLOAT, bool: _BOOL}.get(kinds[0], _TEXT)


RUN = {"dataset_sources" if name == "sources" else name: _column(field.annotation) for name, field in Run.model_fields.items()}
"""The columns that describe a run."""
SETTINGS = {name: kind for name, kind in RUN.items() if name not in ("seed", "plugins", "dataset_sources")}
"""Those of them that a suite chooses, but for the seed; runs that have them in common are averaged over seeds."""
_METRIC = {"split": _TEXT, "metric": _TEXT, "index_name": _TEXT, "index": _FLOAT, "value": _FLOAT}
_EVALUATION = {"run_id": _TEXT, "evaluation": _TEXT, "evaluation_id": _TEXT}
TABLES: dict[str, dict[str, pa.DataType]] = {
    "runs": {
        "run_id": _TEXT, **RUN, "source": _TEXT, "status": _TEXT, "failure_kind": _TEXT, "failure_message": _TEXT,
        "cost": _TEXT, "cost_constant": _FLOAT, "parameters": _INT, "steps": _INT, "started": _TIME, "evaluated": _TIME, "wall_seconds": _FLOAT,
        "train_seconds": _FLOAT, "device_seconds": _FLOAT, "steps_per_second": _FLOAT, "peak_memory_bytes": _INT,
        "device_peak_memory_bytes": _INT, "sources": _TEXT, "versions": _TEXT, "host": _TEXT,
        "device_name": _TEXT, "driver": _TEXT, "threads": _INT, "hardware": _TEXT, "numerics": _TEXT, "git_sha": _TEXT, "git_dirty": _BOOL,
    },
    "evaluations": {
        **_EVALUATION, "options": _TEXT, "metrics": _TEXT, "version": _TEXT, "sources": _TEXT, "versions": _TEXT, "host": _TEXT, "device_name": _TEXT,
        "started": _TIME, "seconds": _FLOAT,
    },
    "metrics": {**_EVALUATION, **_METRIC, "standard_error": _FLOAT, "n": _INT},
    "units": {**_EVALUATION, "split": _TEXT, "unit": _INT, "metric": _TEXT, "value": _FLOAT},
    "history": {"run_id": _TEXT, "step": _INT, "name": _TEXT, "value": _FLOAT},
    "summaries": {**SETTINGS, **_METRIC, "interval": _FLOAT, "source": _TEXT},
}  # fmt: skip
_OPTIONS = {"dataset_options": 4, "likelihood_options": 4}
SINCE = {
    "runs": {**_OPTIONS, "cost_constant": 4, "numerics": 3, "evaluated": 3}
    | dict.fromkeys(("host", "device_name", "driver", "threads", "device_seconds", "device_peak_memory_bytes"), 2),
    "evaluations": {"metrics": 4},
    "summaries": _OPTIONS,
}
"""The schema versions that brought columns, where it was not the first."""
JSON = frozenset({name for name, field in Run.model_fields.items() if get_origin(field.annotation) is Mapping} | {"dataset_sources"}) | {
    *("options", "metrics", "versions", "hardware", "numerics")
}
"""Columns that hold JSON objects."""

COMPACT = re.compile(r"compact-(\d{6,})")
"""Names of files that hold the rows of many runs. Numbers rise with every compaction; a run's id is hexadecimal and cannot be such a name."""
COMPACT_ROWS = 20_000
"""Rows of a row group in compact files: of one run, the others need not be read."""
SMALL = 2**20
"""Bytes of a file that is read whole and not column by column."""


class DamagedError(UserError):
    """A file does not hold what was written to it, or is missing where it must be."""


def table_schema(table: str) -> pa.Schema:
    """The columns of a table, with the schema's version."""
    return pa.schema(list(TABLES[table].items()), metadata={METADATA_KEY: str(SCHEMA_VERSION).encode()})


def compact_number(path: Path) -> int | None:
    """The number of a compact file; None for any other.

    Raises:
        UserError: its name begins as that of a compact file, and it is none.
    """
    found = COMPACT.fullmatch(path.stem)
    if path.stem.startswith("compact-") and (found is None or path.parent.name == "summaries"):
        raise UserError(f"{path} is in the way: only `latentbench compact` writes files of such names, and not this one; move it away")
    return None if found is None else int(found[1])


def to_bytes(table: str, rows: pa.Table) -> bytes:
    """A Parquet file of the present schema, whose pages have checksums."""
    buffer = io.BytesIO()
    pq.write_table(rows.cast(table_schema(table)), buffer, compression="zstd", row_group_size=COMPACT_ROWS, write_page_checksum=True)
    return buffer.getvalue()


def read_fragment(path: Path, table: str, columns: Sequence[str], run_ids: str | Collection[str] | None = None) -> pa.Table:
    """Columns of a file of a table, of one run, or of several, if ids are given; those that its schema version did not have yet are missing values.

    Raises:
        FileNotFoundError: there is no such file.
        FolderError: it cannot be read.
        UserError: it is damaged, is not a file of a latentbench store, or was written by a newer latentbench.
    """
    with opened(path) as file, _named(path):
        small = path.stat().st_size <= SMALL
        source = pa.BufferReader(file.read()) if small else file
        parquet = pq.ParquetFile(source, page_checksum_verification=True)
        there = _columns(path, table, parquet.schema_arrow, columns)
        ids = [run_ids] if isinstance(run_ids, str) else run_ids
        part = parquet.read(there, use_threads=not small) if ids is None else _of_runs(parquet, there, sorted(ids))
        part.validate(full=True)
        for key in {"run_id", "evaluation_id"} & set(there):
            if part[key].null_count:
                raise DamagedError(damaged(path, f"a row has no {key}"))
    for place, name in enumerate(columns):
        if name not in there:
            part = part.add_column(place, name, pa.nulls(len(part), TABLES[table][name]))
    return part.replace_schema_metadata()


def _of_runs(parquet: pq.ParquetFile, columns: Sequence[str], run_ids: Sequence[str]) -> pa.Table:
    """The rows of runs, whose ids are sorted, from the row groups that may have some."""
    place = parquet.schema_arrow.names.index("run_id")
    known = [parquet.metadata.row_group(i).column(place).statistics for i in range(parquet.num_row_groups)]
    groups = [i for i, told in enumerate(known) if told is None or not told.has_min_max or _within(run_ids, told.min, told.max)]
    part = parquet.read_row_groups(groups, [*columns])
    return part.filter(pc.is_in(part["run_id"], texts(run_ids)))


def _within(run_ids: Sequence[str], first: str, last: str) -> bool:
    """Whether one of the sorted ids lies between two."""
    place = bisect_left(run_ids, first)
    return place < len(run_ids) and run_ids[place] <= last


def check_version(path: Path) -> None:
    """Raise a UserError unless this latentbench can read the file."""
    with opened(path) as file, _named(path):
        _version(path, pq.read_schema(file))


def check_json(parts: Sequence[tuple[Path, pa.Table]], whole: pa.Table) -> None:
    """Raise a DamagedError where a column of JSON objects, of a table that is made of `parts`, holds anything else."""
    for name in sorted(JSON & set(whole.column_names)):
        for text in whole[name].unique().to_pylist():
            if text is not None and not _is_object(text):
                path = next(path for path, part in parts if part[name].index(text).as_py() >= 0)
                raise DamagedError(damaged(path, f"column '{name}' has a value that is not a JSON object: {text[:60]!r}"))


def damaged(path: Path, problem: str) -> str:
    """The message about a damaged file of a table, with what helps."""
    return f"{path} is damaged ({' '.join(problem.split())}); {_remedy(path)}"


LOST_WITH = {
    "runs": "the suite trains all these runs again",
    "evaluations": "it is not known any more how they were evaluated",
    "metrics": "the suite evaluates all these runs again",
    "units": "the numbers per latent are lost, unless that file of `metrics` is removed too: then the suite evaluates all these runs again",
    "history": "what their training recorded is lost",
}
"""What follows when a compact file is removed."""


def _remedy(path: Path) -> str:
    table = path.parent.name
    if COMPACT.fullmatch(path.stem):
        return f"it holds {table} of every run that was compacted: put a copy of it back. If you remove it, {LOST_WITH.get(table, 'they are lost')}"
    if table in ("units", "evaluations"):
        return f"remove it together with {path.parent.parent / 'metrics' / path.name}, and the suite evaluates the run again"
    if table == "history":
        return "what training recorded is lost: remove it to do without, or run the suite with --force to train the run again"
    if table == "summaries":
        return "get it again from where it came"
    return f"remove it, and the suite {'trains' if table == 'runs' else 'evaluates'} the run again"


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let errors of parsing name the file."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file system; pyarrow's own have no number
        raise DamagedError(damaged(path, str(error))) from error


def _columns(path: Path, table: str, schema: pa.Schema, names: Sequence[str]) -> list[str]:
    """Those of the columns that a file has; its schema version did not have the others."""
    version, there = _version(path, schema), []
    for name in names:
        expected, found = TABLES[table][name], [schema.field(i).type for i in schema.get_all_field_indices(name)]
        if not found and version < SINCE.get(table, {}).get(name, 1):
            continue
        if found != [expected]:
            what = " and ".join(map(str, found)) if found else "missing"
            raise DamagedError(damaged(path, f"column '{name}' is {what}, expected {expected}"))
        there.append(name)
    return there


def _version(path: Path, schema: pa.Schema) -> int:
    """The version of a file's schema."""
    found = (schema.metadata or {}).get(METADATA_KEY, b"").decode(errors="replace")
    if not found.isdecimal():
        raise UserError(f"{path} is not a fragment of a latentbench store: its metadata has no schema version")
    if int(found) > SCHEMA_VERSION:
        raise UserError(f"{path} has schema version {found}, this latentbench reads up to {SCHEMA_VERSION}; install a newer latentbench")
    return int(found)


def _is_object(text: str) -> bool:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)
