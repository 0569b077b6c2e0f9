"""Leaderboards: metrics of stored runs, mean and interval over seeds, as a table of settings against settings, with what can be told apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from latentbench.errors import UserError
from latentbench.reporting.board import AUTOMATIC, Board, Context, board_of
from latentbench.reporting.comparison import Cell, Column, Comparison, Key
from latentbench.reporting.contrasts import Judged, Statistics
from latentbench.reporting.gathering import Gathered, Place
from latentbench.reporting.query import Query
from latentbench.reporting.selecting import declarations
from latentbench.reporting.statistics import half_width
from latentbench.results.asked import Asked
from latentbench.results.selection import column_of

CAPTIONS = {
    "t": "{:g} % Student t interval over seeds",
    "paper": "the paper's {:g} % bar, t sd / sqrt(n) with a standard deviation that divides by n",
}
DEFAULT = Statistics()


def compare(
    stores: Sequence[Path], query: Query, statistics: Statistics = DEFAULT, metrics: Sequence[str] = (), asked: Asked | None = None
) -> Comparison:
    """The leaderboard of one or more metrics over one or more results folders.

    Args:
        stores: results folders.
        query: what to show, and its first metric.
        statistics: intervals, the level and the family of tests, and the row that others are compared with.
        metrics: further metrics, side by side with the first.
        asked: the suite whose runs and evaluations alone are shown, with their seeds that were not run counted.

    Raises:
        UserError: a folder has no results, nothing matches, a name is unknown, or a cell would average over a setting that varies.
    """
    context = Context(stores, statistics, asked, declarations(stores))
    boards = [board_of(replace(query, metric=metric), context) for metric in (query.metric, *metrics)]
    first = boards[0]
    if any(board.rows != first.rows for board in boards):
        raise UserError("the metrics' rows are named by different settings; name them with --rows")
    return _joined(boards, query, statistics)


def _joined(boards: Sequence[Board], query: Query, statistics: Statistics) -> Comparison:
    """The boards of several metrics side by side: columns by name, rows by their mean rank, or by their values in the first column, best first."""
    keys = sorted({column for board in boards for _, column in board.cells}, key=_natural)
    columns = [(board, key) for key in keys for board in boards if any(key == column for _, column in board.cells)]
    rows = sorted({row for board in boards for row, _ in board.cells}, key=_natural)
    ranks = _mean_ranks(rows, columns) if len(boards) == 1 else None
    order = sorted(range(len(rows)), key=lambda i: ranks[i] if ranks else _place_in(rows[i], *columns[0]))
    return Comparison(
        row_names=tuple(boards[0].rows),
        column_names=tuple(query.columns),
        rows=[rows[i] for i in order],
        columns=[Column(board.metric, key, board.measure.better if board.measure else None) for board, key in columns],
        cells=[[_cell(board, (rows[i], key), statistics) for board, key in columns] for i in order],
        split=query.split,
        interval=_caption(boards, statistics),
        measures={board.metric: board.measure for board in boards if board.measure is not None},
        ranks=[ranks[i] for i in order] if ranks and len(rows) > 1 else None,
        constant=_constant(boards, query),
        footnotes={mark: text for board in boards for mark, text in board.footnotes.texts.items()},
        notes=list(dict.fromkeys(note for board in boards for note in board.notes)),
        baseline=boards[0].baseline,
        hidden=dict(sum((board.hidden for board in boards), Counter())),
    )


def _cell(board: Board, place: Place, statistics: Statistics) -> Cell | None:
    gathered = board.cells.get(place)
    if gathered is None:
        return None
    marks = board.footnotes.of(place)
    if gathered.summary is not None:
        summary = gathered.summary
        return Cell(summary.value, summary.low, summary.high, censored=summary.censored, marks=marks)
    values, known = np.array(list(gathered.values.values()), dtype=float), board.judged.get(place, Judged())
    mean = float(values.mean()) if len(values) else float("nan")
    half = half_width(values, statistics.confidence, statistics.interval)
    counts = {name: len(getattr(gathered, name)) for name in ("failed", "nan", "infinite")}
    return Cell(
        mean,
        None if half is None else mean - half,
        None if half is None else mean + half,
        len(values),
        **counts,
        missing=len(gathered.missing) + len(gathered.unmeasured),
        letters=known.letters,
        rank=known.rank,
        star=known.star,
        contrast=known.contrast,
        marks=marks,
    )


def _caption(boards: Sequence[Board], statistics: Statistics) -> str:
    """What intervals are."""
    kinds = {_kind(board, cell) for board in boards for cell in board.cells.values()}
    texts = {
        "runs": CAPTIONS[statistics.interval].format(100 * statistics.confidence),
        "published": "of summaries as their sources state them" if len(kinds) > 1 else "as the source states them",
        "derived": "of values of several runs over resampled seeds",
    }
    return "; ".join(text for kind, text in texts.items() if kind in kinds)


def _kind(board: Board, cell: Gathered) -> str:
    """What a cell's interval is of."""
    if cell.summary is None:
        return "runs"
    return "derived" if "note" in board.values else "published"


def _mean_ranks(rows: Sequence[Key], columns: Sequence[tuple[Board, Key]]) -> list[float] | None:
    """The rows' mean ranks over the columns; None where columns cannot be compared, as a row
    has fewer than two seeds in one, or no direction is better."""
    ranks: list[list[int]] = []
    for board, key in columns:
        if board.measure is None or board.measure.better is None or any((row, key) not in board.cells for row in rows):
            return None
        if any(len(board.cells[row, key].values) < 2 for row in rows):
            return None
        costs = [_cost(board, (row, key)) for row in rows]
        ranks.append([1 + sum(other < cost for other in costs) for cost in costs])
    return [float(np.mean(mine)) for mine in zip(*ranks, strict=True)]


def _place_in(row: Key, board: Board, key: Key) -> tuple[bool, float]:
    """To sort rows by a column: best first where it is known what is better, else as they were; rows without a value last."""
    if (row, key) not in board.cells or np.isnan(_cost(board, (row, key))):
        return True, 0.0
    return False, _cost(board, (row, key)) if board.measure and board.measure.better else 0.0


def _cost(board: Board, place: Place) -> float:
    """A cell's mean, with the sign by which the smallest is best."""
    cell = board.cells[place]
    mean = cell.summary.value if cell.summary else float(np.mean(list(cell.values.values()))) if cell.values else float("nan")
    return -mean if board.measure and board.measure.better == "higher" else mean


def _constant(boards: Sequence[Board], query: Query) -> dict[str, str]:
    """Settings of all that is shown that name no rows or columns, for the caption."""
    found: dict[str, set[str]] = {}
    for board in boards:
        at = sorted({i for cell in board.cells.values() for i in cell.at})
        for name in AUTOMATIC:
            if name not in (*board.rows, *query.columns):
                found.setdefault(name, set()).update(column_of(board.values, name).iloc[at])
    return {name: next(iter(texts)) for name, texts in found.items() if len(texts) == 1 and texts != {""}}


def _natural(key: Key) -> tuple[tuple[int, float, str], ...]:
    """A key to sort by: numbers by size, texts by name."""
    parts = []
    for text in key:
        try:
            parts.append((0, float(text), ""))
        except ValueError:
            parts.append((1, 0.0, text))
    return tuple(parts)
