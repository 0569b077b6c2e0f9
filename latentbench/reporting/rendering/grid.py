"""A leaderboard as rows and columns of texts, without the parts of names that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from latentbench.reporting.comparison import Comparison, Key
from latentbench.reporting.rendering.cells import Difference, Shown, shown_cells

NO_VALUE = "-"
"""Stands for a setting that a row does not have."""


@dataclass(frozen=True)
class Grid:
    """Cells by row and column. `column_names` are the levels of a stacked header; `heads` names what a column's cells are, a metric.

    `constant` are the settings that all share. `ranks` are the mean ranks of the rows, or of the columns of a `transposed` grid, whose rows are the
    leaderboard's columns. `contrasted` says that differences from a baseline are shown, whose row (or column) is at `baseline` if it is in the table.
    """

    row_names: Sequence[str]
    rows: Sequence[Key]
    column_names: Sequence[str]
    columns: Sequence[Key]
    heads: Sequence[str]
    cells: Sequence[Sequence[Shown | None]]
    constant: Mapping[str, str]
    ranks: Sequence[str] | None
    contrasted: bool
    baseline: int | None
    transposed: bool = False

    def is_baseline(self, row: int, column: int) -> bool:
        """Whether the cell belongs to the baseline."""
        return self.contrasted and self.baseline == (column if self.transposed else row)

    @property
    def shown(self) -> list[Shown]:
        """All cells that have runs."""
        return [cell for row in self.cells for cell in row if cell is not None]

    def column(self, position: int) -> list[Shown | None]:
        """The cells of a column."""
        return [row[position] for row in self.cells]

    def ranks_of(self, column: int) -> list[str] | None:
        """The intervals of ranks of a column; None where no cell has one."""
        ranks = ["" if cell is None else cell.rank for cell in self.column(column)]
        return ranks if any(ranks) else None

    def differences_of(self, column: int) -> list[Difference | str] | None:
        """The differences of a column from the baseline, which is said where it is the baseline's own; None where nothing is compared."""
        cells = self.column(column)
        if not self.contrasted or not any(cell is not None and cell.difference for cell in cells):
            return None
        return [
            "baseline" if cell is not None and self.is_baseline(i, column) else "" if cell is None or cell.difference is None else cell.difference
            for i, cell in enumerate(cells)
        ]


def grid(comparison: Comparison) -> Grid:
    """The leaderboard with its rows and columns."""
    row_names, rows, constant_rows = _varying(comparison.row_names, comparison.rows, keep=len(comparison.rows) == 1)
    column_names, columns, constant_columns = _varying(comparison.column_names, [column.key for column in comparison.columns])
    return Grid(
        row_names,
        rows,
        column_names,
        columns,
        [column.metric for column in comparison.columns],
        shown_cells(comparison),
        {**comparison.constant, **constant_rows, **constant_columns},
        None if comparison.ranks is None else [f"{rank:.1f}" for rank in comparison.ranks],
        comparison.baseline is not None,
        next((i for i, row in enumerate(comparison.rows) if row == comparison.baseline), None),
    )


def transposed(original: Grid) -> Grid:
    """The grid with the leaderboard's columns as rows."""
    several = len(set(original.heads)) > 1
    named = several or not original.column_names
    rows = [(*key, head) if named else key for key, head in zip(original.columns, original.heads, strict=True)]
    return Grid(
        [*original.column_names, "metric"] if named else original.column_names,
        rows,
        original.row_names,
        original.rows,
        ["mean" if several else original.heads[0]] * len(original.rows),
        [[row[j] for row in original.cells] for j in range(len(original.columns))],
        original.constant,
        original.ranks,
        original.contrasted,
        original.baseline,
        transposed=True,
    )


def shortened(original: Grid) -> tuple[Grid, dict[str, str]]:
    """The grid with settings named by the last part of their dotted names, where that is unique; and the short names with what they stand for."""
    names = [*original.row_names, *original.column_names]
    last = [name.rpartition(".")[2] for name in names]
    short = {name: end if last.count(end) == 1 else name for name, end in zip(names, last, strict=True)}
    shorter = replace(original, row_names=[short[name] for name in original.row_names], column_names=[short[name] for name in original.column_names])
    return shorter, {end: name for name, end in short.items() if end != name}


def joined(original: Grid) -> Grid:
    """The grid with one name for every row, as in `gaussian mc`."""
    return replace(original, row_names=[" ".join(original.row_names)], rows=[(label,) for label in labels(original.rows)])


def labels(keys: Sequence[Key]) -> list[str]:
    """Keys as one text each, without the settings that they do not have, unless two would be the same then."""
    short = [" ".join(value for value in key if value != NO_VALUE) for key in keys]
    return short if len(set(short)) == len(short) else [" ".join(key) for key in keys]


def spans(paths: Sequence[Key], level: int) -> list[tuple[str, int]]:
    """The labels of one level of a stacked header with the number of columns that each spans: neighbours that share it and all above it."""
    return [(path[level], len(list(group))) for path, group in groupby(paths, key=lambda path: path[: level + 1])]


def row_labels(comparison: Comparison) -> list[str]:
    """Every row's name for a sentence, as in `gaussian mc`: the parts of its name that tell rows apart."""
    _, keys, _ = _varying(comparison.row_names, comparison.rows, keep=len(comparison.rows) == 1)
    return labels(keys)


def _varying(names: Sequence[str], keys: Sequence[Key], keep: bool = False) -> tuple[list[str], list[Key], dict[str, str]]:
    """The names that tell keys apart, the keys as these, and what all keys share of the other names."""
    told = [i for i in range(len(names)) if keep or len({key[i] for key in keys}) > 1]
    constant = {names[i]: keys[0][i] or NO_VALUE for i in range(len(names)) if i not in told and keys}
    return [names[i] for i in told], [tuple(key[i] or NO_VALUE for i in told) for key in keys], constant
