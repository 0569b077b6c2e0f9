"""Every table and column is described."""

from latentbench.results.columns import COLUMNS, ROWS
from latentbench.results.tables import TABLES


def test_every_table_is_described():
    assert set(ROWS) == set(TABLES)


def test_every_column_is_described_and_no_other():
    assert set(COLUMNS) == {column for columns in TABLES.values() for column in columns}
