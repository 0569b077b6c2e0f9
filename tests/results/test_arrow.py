"""What is done without pandas gives what pyarrow gives."""

import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from latentbench.results.arrow import distinct, empty, records, texts

SCHEMA = pa.schema([("name", pa.string()), ("split", pa.string()), ("index", pa.float64()), ("at", pa.timestamp("us", tz="UTC")), ("n", pa.int64())])


def made(rows, seed=0):
    """Random rows, with missing values in every column, in several chunks."""
    generator = np.random.default_rng(seed)

    def chosen(values):
        return [values[i] for i in generator.integers(len(values), size=rows)]

    times = [datetime(2026, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), None]
    columns = [chosen(["a", "ä-1", "", None]), chosen(["test", None]), chosen([0.5, 1e-300, -0.25, None]), chosen(times), chosen([1, 2**60, None])]
    whole = pa.Table.from_arrays([pa.array(c, field.type) for c, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
    half = rows // 2
    return pa.concat_tables([whole.slice(0, half), whole.slice(half)])


def test_texts():
    values = ["", "a", "é\U0001f600", "x" * 1000]
    assert texts(values).equals(pa.array(values, pa.string()))
    assert texts([]).equals(pa.array([], pa.string()))


def test_a_table_without_rows():
    assert empty(SCHEMA).equals(SCHEMA.empty_table())


@pytest.mark.parametrize("rows", [0, 1, 7, 500])
@pytest.mark.parametrize("columns", [["name"], ["name", "split"], ["name", "split", "index", "n"]])
def test_distinct_combinations(rows, columns):
    table = made(rows)
    expected = {tuple(row[name] for name in columns) for row in table.group_by(columns).aggregate([]).to_pylist()}
    found = distinct(table, columns)
    assert len(found) == len(set(found))
    assert set(found) == expected


@pytest.mark.parametrize("rows", [0, 1, 500])
def test_records(rows):
    table = made(rows)
    assert records(table) == table.to_pylist()
    assert [str(row["at"]) for row in records(table)] == [str(row["at"]) for row in table.to_pylist()]


def test_pandas_is_not_imported():
    code = """
import sys, pyarrow as pa
from latentbench.results.arrow import distinct, empty, records, texts
column = pa.chunked_array([texts(["a", "b", "a"])], pa.string())
table = pa.Table.from_arrays([column], ["name"])
assert sorted(distinct(table, ["name"])) == [("a",), ("b",)]
assert records(table)[2] == {"name": "a"}
assert distinct(empty(table.schema), ["name"]) == []
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
