"""What pyarrow does, without pandas: to convert values of Python's, or to group rows, it imports pandas, which takes longer than most commands do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa


def texts(values: Iterable[str]) -> pa.Array:
    """Texts as a column."""
    encoded = [value.encode() for value in values]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(encoded), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))])


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SEPARATOR = texts(["-"])[0]
"""What stands between a run's and an evaluation's id in the names of fragments."""


def empty(schema: pa.Schema) -> pa.Table:
    """A table without rows."""
    return pa.Table.from_batches([], schema)


def distinct(rows: pa.Table, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """The distinct combinations of values that some columns have, missing values (None) too."""
    combined = np.zeros(len(rows), dtype=np.int64)
    values: list[list[Any]] = []
    for column in columns:
        indices, known = _encoded(rows[column])
        combined = combined * max(len(known), 1) + indices
        values.append(known)
    found = np.unique(combined)
    places = []
    for known in reversed(values):
        found, place = np.divmod(found, max(len(known), 1))
        places.append(place)
    return [tuple(known[i] for known, i in zip(values, row, strict=True)) for row in zip(*reversed(places), strict=True)]


def records(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as `to_pylist` gives them, times in UTC."""
    times = {name for name, kind in zip(rows.schema.names, rows.schema.types, strict=True) if pa.types.is_timestamp(kind)}
    columns = {name: rows[name].cast(pa.int64()).to_pylist() if name in times else rows[name].to_pylist() for name in rows.schema.names}
    for name in times:
        columns[name] = [None if value is None else EPOCH + timedelta(microseconds=value) for value in columns[name]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _encoded(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, np.dtype[np.int32]], list[Any]]:
    """The distinct values of a column, and for every row the index of its own."""
    if not len(column):
        return np.zeros(0, dtype=np.int32), []
    encoded = column.dictionary_encode("encode").combine_chunks()
    (whole,) = encoded.chunks if isinstance(encoded, pa.ChunkedArray) else [encoded]  # as versions of pyarrow differ
    indices = whole.indices
    buffer = np.frombuffer(indices.buffers()[1], dtype=np.int32)
    return buffer[indices.offset : indices.offset + len(indices)], whole.dictionary.to_pylist()
