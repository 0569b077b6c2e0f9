"""Which rows of a column can be told apart: differences, tie groups, intervals of ranks, and the rows that may be the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from latentbench.errors import UserError
from latentbench.reporting.comparison import Contrast, Key
from latentbench.reporting.gathering import Gathered
from latentbench.reporting.power import seeds_needed
from latentbench.reporting.ranking import Adjustment, Relation, adjusted, letters, rank_intervals
from latentbench.reporting.statistics import CONFIDENCE, PAPER_CONFIDENCE, Difference, Interval, difference

Pair = tuple[int, int]


@dataclass(frozen=True)
class Statistics:
    """How a leaderboard counts.

    `confidence` is that of all intervals, and 1 - `confidence` the level of all tests. `interval` is Student's, or the paper's bar. p-values are
    adjusted by `adjust` over all pairs of rows of a column; with `only_baseline` over the pairs with the row that `baseline` names by its settings.
    """

    confidence: float = CONFIDENCE
    interval: Interval = "t"
    adjust: Adjustment = "holm"
    baseline: Mapping[str, Any] | None = None
    only_baseline: bool = False

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if not 0 < self.confidence < 1:
            raise UserError("expected a number between 0 and 1, as in .95", where=f"--confidence {self.confidence:g}")
        if self.interval == "paper" and self.confidence != PAPER_CONFIDENCE:
            raise UserError(f"the paper's bars have a confidence of {PAPER_CONFIDENCE:g}: leave --confidence out, or use --ci t")

    @property
    def level(self) -> float:
        """That of the tests."""
        return 1 - self.confidence


@dataclass(frozen=True)
class Judged:
    """What is known of a row in a column beyond its mean."""

    letters: str = ""
    rank: tuple[int, int] | None = None
    star: bool = False
    contrast: Contrast | None = None


def judge(cells: Mapping[Key, Gathered], better: str | None, statistics: Statistics, baseline: Key | None) -> dict[Key, Judged]:
    """Every row of a column that has at least two values. Where it is not known which direction is better, rows are grouped and not ranked.

    Args:
        cells: all rows of the family of comparisons, those that are not shown too.
        better: `lower`, `higher` or None.
        statistics: the level and the adjustment.
        baseline: the row that the others are compared with; None for the best one.
    """
    rows = [row for row, cell in cells.items() if len(cell.values) > 1]
    if len(rows) < 2:
        return {}
    sign = -1 if better == "higher" else 1
    rows.sort(key=lambda row: sign * _mean(cells[row]))  # the best first
    column = _Column([cells[row] for row in rows], statistics, sign)
    against = rows.index(baseline) if baseline in rows else None if baseline is not None else 0 if better else None
    groups = letters(column.different)
    ranks = rank_intervals(column.beats)
    return {
        row: Judged(
            groups[i],
            ranks[i] if better else None,
            bool(better) and not column.different[0, i],
            None if against is None or against == i else column.contrast(i, against),
        )
        for i, row in enumerate(rows)
    }


class _Column:
    """The tests of all pairs of rows of a column, the best row first."""

    def __init__(self, cells: Sequence[Gathered], statistics: Statistics, sign: int) -> None:
        self.cells, self.statistics = cells, statistics
        self.pairs = {pair: _difference(cells, pair, statistics) for pair in combinations(range(len(cells)), 2)}
        tests = [found.p for found in self.pairs.values()]
        self.adjusted = dict(zip(self.pairs, adjusted(tests, statistics.adjust), strict=True))
        self.different = self._relation(self.adjusted, lambda pair: True)
        holm = dict(zip(self.pairs, adjusted(tests, "holm"), strict=True))  # ranks hold at once only by Holm
        self.beats = self._relation(holm, lambda pair: sign * self.mean(*pair) < 0)

    def mean(self, one: int, other: int) -> float:
        """The mean of `one` less `other`."""
        return self.pairs[one, other].mean if one < other else -self.pairs[other, one].mean

    def difference(self, one: int, other: int) -> Difference:
        """`one` less `other`."""
        return self.pairs[one, other] if one < other else _difference(self.cells, (one, other), self.statistics)

    def contrast(self, row: int, against: int) -> Contrast:
        """A row against another, its p-value adjusted over the family."""
        found = self.difference(row, against)
        if self.statistics.only_baseline:
            family = [other for other in range(len(self.cells)) if other != against]
            ps = [self.difference(other, against).p for other in family]
            p, tests = adjusted(ps, self.statistics.adjust)[family.index(row)], len(family)
        else:
            p, tests = self.adjusted[min(row, against), max(row, against)], len(self.pairs)
        apart = p is not None and p < self.statistics.level
        more = None if apart else seeds_needed(found, self.statistics.level / tests)  # Bonferroni's: enough whatever the other tests find
        return Contrast(found.mean, found.interval, found.n, found.paired, found.correlation, found.p, p, more)

    def _relation(self, p: Mapping[Pair, float | None], holds: Callable[[Pair], bool]) -> Relation:
        """Of which pairs of rows, in both orders, the test is significant and something holds."""
        relation = np.zeros((len(self.cells), len(self.cells)), dtype=bool)
        for (one, other), value in p.items():
            if value is not None and value < self.statistics.level:
                relation[one, other] = holds((one, other))
                relation[other, one] = holds((other, one))
        return relation


def _difference(cells: Sequence[Gathered], pair: Pair, statistics: Statistics) -> Difference:
    one, other = (cells[i] for i in pair)
    found = difference(one.values, other.values, statistics.confidence, paired=one.origin == other.origin)
    if found is None:  # rows have two values each
        raise ValueError("a row with fewer than two values is not compared")
    return found


def _mean(cell: Gathered) -> float:
    return float(np.mean(list(cell.values.values())))
