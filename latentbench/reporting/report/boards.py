"""The leaderboards of a page: those that suites ask for, then metrics that have a better direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate

from latentbench.errors import UserError
from latentbench.reporting.comparison import Comparison
from latentbench.reporting.contrasts import Statistics
from latentbench.reporting.leaderboard import compare
from latentbench.reporting.query import Query
from latentbench.reporting.report.page import Block, Details, Table, Text
from latentbench.reporting.report.stored import Stored
from latentbench.reporting.report.tables import leaderboard
from latentbench.reporting.report.text import count
from latentbench.results.asked import Asked
from latentbench.suites.suite import Leaderboard

MAX_BOARDS = 6
"""Leaderboards of a page, beyond those that suites ask for."""
MAX_PAIRS = 20_000
"""Pairs of rows that these compare; where there are more, there is one leaderboard."""
MAX_OPEN = 2
"""Leaderboards that are not folded, beyond those that suites ask for."""
MAX_NAMED = 40
"""Metrics without a leaderboard that are named."""
ACROSS = ("dataset", "encoder")
"""Settings that name columns, where they vary and others name rows."""


def boards(stored: Stored) -> list[Block]:
    """The leaderboards; what cannot be one is named with the reason, and what is left out is counted."""
    asked = [(one, one.leaderboard) for one in stored.asked if one.leaderboard is not None and stored.run_ids & one.runs.keys()]
    blocks: list[Block] = [_asked(stored, one, board) for one, board in asked]
    others = [(title, query) for title, query in _others(stored) if query.metric not in {board.metric for _, board in asked}]
    shown = others[: _affordable([_pairs(stored, query) for _, query in others])]
    for title, query in shown:
        board = _board(title, partial(compare, stored.stores, query))
        blocks.append(board if len(blocks) < MAX_OPEN or isinstance(board, Text) else Details(title, [board]))
    if left_out := [title for title, _ in others[len(shown) :]]:
        named = f"{', '.join(left_out[:MAX_NAMED])}{', …' if len(left_out) > MAX_NAMED else ''}"
        blocks.append(Text([f"{count(len(left_out), 'more metric')} can be compared with the command latentbench compare --metric NAME: {named}."]))
    return blocks or [Text(["No metric that says which direction is better was measured."])]


def _pairs(stored: Stored, query: Query) -> int:
    """About how many pairs of rows a leaderboard compares: those of models on one data set."""
    measured = stored.metrics[stored.metrics["metric"] == query.metric]
    return int(sum(n * (n - 1) // 2 for n in measured.groupby("dataset")["model"].nunique()))


def _affordable(pairs: Sequence[int]) -> int:
    """How many leaderboards a page has, the first in any case."""
    return min(MAX_BOARDS, max(1, sum(total <= MAX_PAIRS for total in accumulate(pairs))), len(pairs))


def _board(title: str, compared: Callable[[], Comparison], about: str = "") -> Table | Text:
    try:
        return leaderboard(compared(), about)
    except UserError as error:
        return Text([f"{title}: no leaderboard. {str(error)[:1].upper()}{str(error)[1:]}."])


def _asked(stored: Stored, suite: Asked, board: Leaderboard) -> Table | Text:
    """The leaderboard that a suite asks for."""
    evaluations = frozenset({board.evaluation}) if board.evaluation else None
    query = Query(board.metric, tuple(board.rows), tuple(board.columns), board.split, board.index, evaluations=evaluations)
    family = None if board.comparisons == "all" else board.comparisons.baseline
    statistics = Statistics(baseline=family, only_baseline=family is not None)
    return _board(query.title, partial(compare, stored.stores, query, statistics, asked=suite), f"as suite {suite.name} asks")


def _others(stored: Stored) -> Iterator[tuple[str, Query]]:
    """A leaderboard of every metric on every split with a direction, at its last index, by every evaluation; first what training minimised.

    It has the runs of the families that were measured, failed ones too: it is not known whether others would have been.
    """
    rows, columns = _sides(stored.names)
    metrics = stored.metrics
    metrics = metrics[metrics["metric"].isin([name for name, measure in stored.declared.items() if measure.better])]
    groups = [(tuple(map(str, key)), found) for key, found in metrics.groupby(["metric", "split", "evaluation_id"], sort=False)]
    costs = set(stored.runs["cost"].dropna())
    ordered = sorted(groups, key=lambda group: (group[0][0] not in costs, -group[1]["run_id"].nunique()))
    measured = [key[:2] for key, _ in ordered]
    for (metric, split, evaluation), found in ordered:
        indices = found["index"].dropna()
        index = None if indices.empty else float(indices.max())
        at = "" if index is None else f" at {index:g}"
        by = f", by {stored.titles.get(evaluation, evaluation)}" if measured.count((metric, split)) > 1 else ""
        runs = frozenset(stored.runs.loc[stored.runs["family"].isin(found["family"].unique()), "run_id"])
        yield (
            f"{metric}{at} on {split}{by}",
            Query(metric, rows, columns, split, index, run_ids=runs, evaluations=frozenset({evaluation}), values_of="runs"),
        )


def _sides(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The settings that name rows, and those that name columns."""
    rows = tuple(name for name in names if name not in ACROSS)
    return (rows, tuple(name for name in names if name in ACROSS)) if rows else (tuple(names) or ("family",), ())
