"""The tables of a results folder as a page, from the store's own schema."""

from __future__ import annotations

from docstrings import cell, code, table

from latentbench.results.columns import COLUMNS, ROWS
from latentbench.results.tables import JSON, SCHEMA_VERSION, SINCE, TABLES

INTRODUCTION = """# Tables of a results folder

A table is a folder of Parquet files, all of one schema, whose version (at present {version}) is in their metadata under `latentbench_schema`. Older
files are read: columns that came later are missing values in them. A missing value means that the row has nothing to say: a run without an encoder
has no `encoder`. [How to read them with pandas and DuckDB](../how-to/parquet.md)."""


def page() -> str:
    """Every table with its columns."""
    return "\n\n".join([INTRODUCTION.format(version=SCHEMA_VERSION), *map(_table, TABLES)]) + "\n"


def _table(name: str) -> str:
    since = SINCE.get(name, {})
    rows = [(code(column), _kind(column, str(kind)), str(since.get(column, 1)), cell(COLUMNS[column])) for column, kind in TABLES[name].items()]
    return f"## {name}\n\n{ROWS[name]}\n\n{table(('column', 'type', 'since schema', 'meaning'), rows)}"


def _kind(column: str, kind: str) -> str:
    return "JSON object" if column in JSON else kind
