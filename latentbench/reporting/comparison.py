"""A leaderboard as numbers: what `compare` returns, and what every format shows."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from latentbench.measure import Measure

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, ...]
"""The values of the settings that name a row, or a column."""
_DTYPES = {
    "n": "Int64",
    "rank_low": "Int64",
    "rank_high": "Int64",
    "contrast_n": "Int64",
    "contrast_more_seeds": "Int64",
    "contrast_paired": "boolean",
}
"""Columns of the long form that may have no value."""


@dataclass(frozen=True)
class Contrast:
    """A row against the baseline, or against the best row of its column: row - other, over the seeds that both have where they are paired.

    `p` is of the test of no difference, `adjusted` over the family of comparisons; `correlation` is of the paired values. `more_seeds` would tell
    the two apart with power .8 at Bonferroni's level for the family; it is approximate, and None where they are told apart.
    """

    mean: float
    interval: float | None
    n: int
    paired: bool
    correlation: float | None
    p: float | None
    adjusted: float | None
    more_seeds: int | None


@dataclass(frozen=True)
class Cell:
    """A mean over `n` seeds with its interval, or a summary as published (`n` is None). Every field is a column of the CSV form.

    Seeds without a value are told apart: `failed` runs, `missing` ones that other rows of the column have, values that are not a number (`nan`) or
    infinite (`infinite`). `censored` is 1 where the value is only known to be larger than `mean`, -1 where smaller. `letters` are the tie groups of
    the cell in its column: two cells that share a letter cannot be told apart. `rank` is the interval of ranks. `star` marks cells that are not
    significantly worse than the best of their column; it needs at least two rows with two seeds each. `marks` refer to footnotes.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    failed: int = 0
    missing: int = 0
    nan: int = 0
    infinite: int = 0
    censored: int = 0
    letters: str = ""
    rank: tuple[int, int] | None = None
    star: bool = False
    contrast: Contrast | None = None
    marks: str = ""

    @property
    def interval(self) -> float | None:
        """Half the width of the interval; None where there is none."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def empty(self) -> bool:
        """Whether every seed failed, so that there is no mean."""
        return self.n == 0


@dataclass(frozen=True)
class Column:
    """A column: a metric (with its index, as in `knn_accuracy at 200`) and the values of the settings that name it; `better` is its direction."""

    metric: str
    key: Key
    better: str | None


@dataclass(frozen=True)
class Comparison:
    """A leaderboard. `cells[row][column]` is a `Cell`, or None where there are no runs.

    `rows` are named by `row_names`, columns by `column_names`, settings. `ranks` are the rows' mean ranks over the columns, where all rows are in all
    columns. `constant` are settings that all rows and columns share, for the caption. `footnotes` (mark -> text) say in what more than their names
    rows differ; `notes` are about the whole table. `baseline` is the row that contrasts are against; without one they are against each column's best.
    `hidden` counts results that the table leaves out, by what they are.
    """

    row_names: Sequence[str]
    column_names: Sequence[str]
    rows: Sequence[Key]
    columns: Sequence[Column]
    cells: Sequence[Sequence[Cell | None]]
    split: str
    interval: str
    """What the intervals are, as in `99 % Student t interval over seeds`."""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    ranks: Sequence[float] | None = None
    constant: Mapping[str, str] = field(default_factory=dict)
    footnotes: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    baseline: Key | None = None
    hidden: Mapping[str, int] = field(default_factory=dict)

    @property
    def best(self) -> frozenset[tuple[int, int]]:
        """The positions of the starred cells."""
        return frozenset((i, j) for i, row in enumerate(self.cells) for j, cell in enumerate(row) if cell is not None and cell.star)

    def frame(self) -> pd.DataFrame:
        """A row for every cell that has runs: its settings, the constant ones too, `metric`, `better`, `unit`, `split` and the fields of `Cell`.

        `rank` and `contrast` become several columns, as in `rank_low` and `contrast_p`. `footnotes` are their texts, `interval_kind` says what
        intervals are, and `mean_rank` is the row's. A setting with the name of one of these columns is called `setting.NAME`.
        """
        import pandas as pd  # a quarter of a second

        records = [
            self._record(key, column, cell, None if self.ranks is None else self.ranks[i])
            for i, (key, cells) in enumerate(zip(self.rows, self.cells, strict=True))
            for column, cell in zip(self.columns, cells, strict=True)
            if cell is not None
        ]
        nothing = [*self.row_names, *self.column_names, *self.constant, "metric", "split", "mean"]
        frame = pd.DataFrame(records, columns=list(records[0]) if records else nothing)
        return frame.astype({name: kind for name, kind in _DTYPES.items() if name in frame})

    def _record(self, row: Key, shown: Column, cell: Cell, mean_rank: float | None) -> dict[str, Any]:
        """The long form of one cell."""
        measure = self.measures.get(shown.metric) or self.measures.get(shown.metric.rpartition(" at ")[0])
        values = {name: getattr(cell, name) for name in Cell.__dataclass_fields__ if name not in ("contrast", "rank")}
        contrast = {name: None if cell.contrast is None else getattr(cell.contrast, name) for name in Contrast.__dataclass_fields__}
        record = {
            "metric": shown.metric,
            "better": shown.better,
            "unit": measure.unit if measure else None,
            "split": self.split,
            **values,
            "rank_low": cell.rank[0] if cell.rank else None,
            "rank_high": cell.rank[1] if cell.rank else None,
            **{f"contrast_{name}": value for name, value in contrast.items()},
            "baseline": self.baseline == row,
            "interval_kind": self.interval,
            "footnotes": "; ".join(self.footnotes[mark] for mark in marks_of(cell.marks, self.footnotes) if mark in self.footnotes),
            "mean_rank": mean_rank,
        }
        names = [*zip(self.row_names, row, strict=True), *zip(self.column_names, shown.key, strict=True), *self.constant.items()]
        return {**{f"setting.{name}" if name in record else name: value for name, value in names}, **record}


def marks_of(marks: str, known: Container[str]) -> tuple[str, ...]:
    """The marks of a cell one by one: words, or the letters of a word that is no mark itself."""
    words = marks.replace(",", " ").split()
    return tuple(mark for word in words for mark in ([word] if word in known else word))
