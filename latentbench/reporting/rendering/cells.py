"""What a leaderboard's cells show, as texts without markup, the same in every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from latentbench.reporting.comparison import Cell, Comparison, Contrast, marks_of
from latentbench.reporting.rendering.numbers import Number, correlation, number, probability

NOTHING = "-"
"""Stands for a value where all seeds are without."""


@dataclass(frozen=True)
class Difference:
    """A contrast as texts: the difference, and what is said of it, as in `p < .001` and `r = .93`."""

    number: Number
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        """One line of text, as in `-3.2 ± 0.5 (p < .001, r = .93)`."""
        return f"{self.number} ({', '.join(self.remarks)})" if self.remarks else str(self.number)


@dataclass(frozen=True)
class Shown:
    """A cell as texts: its number and the mean itself (None: no seed has a value), tie letters, ranks, and marks of footnotes.

    `rank` is like `1-3`, `remarks` like `n = 4` and `1 failed`.
    """

    number: Number | None
    mean: float | None = None
    star: bool = False
    letters: str = ""
    rank: str = ""
    remarks: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    difference: Difference | None = None

    @property
    def value(self) -> str:
        """The number as text."""
        return NOTHING if self.number is None else str(self.number)

    @property
    def remark(self) -> str:
        """The remarks in brackets, as in `(n = 4, 1 failed)`; empty where there are none."""
        return f"({', '.join(self.remarks)})" if self.remarks else ""

    def __str__(self) -> str:
        """One line of text, as in `41.61 ± 0.12 (1 failed)`."""
        return f"{self.value} {self.remark}".rstrip()


def cell_text(cell: Cell) -> str:
    """A cell by itself, as in `41.61 ± 0.12 (1 failed)`: its number, and its seeds without a value."""
    return str(_shown(cell, False, cell.n, ()))


def shown_cells(comparison: Comparison) -> list[list[Shown | None]]:
    """What the cells of a leaderboard show, rows of columns; None where there are no runs."""
    usual = usual_n(comparison)
    columns = [[row[j] for row in comparison.cells] for j in range(len(comparison.columns))]
    counts = [all(_has_value(cell) is False or cell.mean == int(cell.mean) for cell in column if cell is not None) for column in columns]
    return [
        [None if cell is None else _shown(cell, counts[j], usual, tuple(comparison.footnotes)) for j, cell in enumerate(row)]
        for row in comparison.cells
    ]


def usual_n(comparison: Comparison) -> int | None:
    """The number of seeds that most cells have, the larger of two; None where all are published."""
    found = Counter(cell.n for row in comparison.cells for cell in row if cell is not None and cell.n)
    return max(found, key=lambda n: (found[n], n)) if found else None


def difference(contrast: Contrast, n: int | None) -> Difference:
    """A contrast as texts; its own number of seeds is named where it is not the cell's `n`."""
    low, high = (None, None) if contrast.interval is None else (contrast.mean - contrast.interval, contrast.mean + contrast.interval)
    p = contrast.p if contrast.adjusted is None else contrast.adjusted
    remarks = [probability(p)] if p is not None and isfinite(p) else []
    if contrast.correlation is not None and isfinite(contrast.correlation):
        remarks.append(correlation(contrast.correlation))
    if not contrast.paired:
        remarks.append("unpaired")
    if contrast.n != n:
        remarks.append(f"n = {contrast.n}")
    shown = number(contrast.mean, low, high, signed=True) if isfinite(contrast.mean) else Number(NOTHING)
    return Difference(shown, tuple(remarks))


def _has_value(cell: Cell) -> bool:
    return not cell.empty and isfinite(cell.mean)


def _shown(cell: Cell, counts: bool, usual: int | None, known: Sequence[str]) -> Shown:
    value = None
    if _has_value(cell):
        value = number(cell.mean, cell.low, cell.high, printed=cell.n is None, counts=counts, censored=cell.censored)
    remarks = [f"n = {cell.n}"] if cell.n not in (None, 0, usual) else []
    without = {"failed": cell.failed, "missing": cell.missing, "NaN": cell.nan, "infinite": cell.infinite}
    remarks += [f"{count} {why}" for why, count in without.items() if count]
    rank = "" if cell.rank is None else f"{cell.rank[0]}" if cell.rank[0] == cell.rank[1] else f"{cell.rank[0]}-{cell.rank[1]}"
    contrast = None if cell.contrast is None else difference(cell.contrast, cell.n)
    return Shown(
        value, None if value is None else float(cell.mean), cell.star, cell.letters, rank, tuple(remarks), marks_of(cell.marks, known), contrast
    )
