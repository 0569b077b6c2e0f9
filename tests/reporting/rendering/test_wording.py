"""The words around a leaderboard."""

from dataclasses import replace

import pytest

from latentbench.reporting.comparison import Column, Contrast
from latentbench.reporting.rendering import wording
from latentbench.reporting.rendering.grid import grid, transposed
from tests.reporting.rendering import boards
from tests.reporting.rendering.boards import board, cell

PLAIN = [[cell(1.0)], [cell(2.0)]]
SYMBOLS = {
    "*:": cell(1.0, star=True),
    "a:": cell(1.0, letters="a"),
    "rank:": cell(1.0, rank=(1, 2)),
    "±:": cell(1.0, 0.1),
    "[low, high]:": replace(cell(1.0), low=0.5, high=3.0),
    ">:": cell(1.0, censored=1),
    "<:": cell(1.0, censored=-1),
    "-:": cell(float("nan"), n=0),
    "failed:": cell(1.0, failed=1),
    "missing:": cell(1.0, missing=1),
    "NaN:": cell(1.0, nan=1),
    "infinite:": cell(1.0, infinite=1),
    "difference:": cell(1.0, contrast=Contrast(1.0, 0.1, 5, True, None, None, None, None)),
    "p:": cell(1.0, contrast=Contrast(1.0, 0.1, 5, True, None, 0.1, None, None)),
    "r:": cell(1.0, contrast=Contrast(1.0, 0.1, 5, True, 0.1, None, None, None)),
}


def lines(made, flip=False):
    shown = grid(made)
    return wording.legend(made, transposed(shown) if flip else shown, "*")


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_legend_explains_the_symbols_that_occur_and_no_others(symbol):
    made = board([("x",), ("y",)], [()], [[cell(1.0)], [SYMBOLS[symbol]]], baseline=("x",))
    implied = {"difference:"} if symbol in ("p:", "r:") else set()
    found = {line.partition(":")[0] + ":" for line in lines(made) if not line.startswith("n =")}
    assert found == {symbol} | implied


def test_n_is_said_once_where_it_is_the_same():
    assert lines(board([("x",), ("y",)], [()], PLAIN)) == ["n = 5 seeds"]
    assert lines(board([("x",), ("y",)], [()], [[cell(1.0)], [cell(2.0, n=4)]])) == ["n = 5 seeds where none is given"]
    assert lines(board([("x",), ("y",)], [()], [[cell(1.0)], [cell(2.0, n=None)]])) == ["n = 5 seeds, summaries aside"]
    assert lines(board([("x",), ("y",)], [()], [[cell(1.0, n=1)], [cell(2.0, n=1)]])) == ["n = 1 seed"]
    assert lines(board([("x",)], [()], [[cell(1.0, n=None)]])) == []


def test_the_best_of_a_column_is_that_of_a_row_once_transposed():
    made = boards.based()
    assert "*: not significantly worse than the best of its column" in lines(made)
    assert "difference: row - gaussian" in lines(made)
    assert "*: not significantly worse than the best of its row" in lines(made, flip=True)
    assert "difference: column - gaussian" in lines(made, flip=True)


def test_titles_have_what_was_declared():
    assert wording.titles(board([], [()], [])) == ["nelbo on validation: negative evidence lower bound (nats, lower is better)"]
    assert wording.titles(board([], [()], [], measures={})) == ["nelbo on validation: lower is better"]
    assert wording.titles(board([], [Column("x", (), None)], [])) == ["x on validation"]
    assert wording.titles(boards.several())[2] == "knn_accuracy at 200: accuracy of nearest neighbours (share, higher is better)"


def test_more_seeds_name_five_rows():
    contrast = Contrast(0.1, 0.5, 5, True, None, 0.5, 1.0, 1200)
    made = board([(f"row{i}",) for i in range(8)], [()], [[cell(1.0)], *([cell(1.1, contrast=contrast)] for _ in range(7))])
    (line,) = wording.more_seeds(made)
    assert line.startswith("more seeds that would tell rows from the best, row0 (approximate): row1 ~1,200, row2 ~1,200,")
    assert line.endswith("row5 ~1,200 and 2 others")
    assert wording.more_seeds(boards.wide()) == []


def test_rows_are_named_by_what_tells_them_apart():
    contrast = Contrast(0.1, 0.5, 5, True, None, 0.5, 1.0, 12)
    rows, cells = [("a", "mc", ""), ("b", "mc", "x")], [[cell(1.0)], [cell(1.1, contrast=contrast)]]
    names = ("family", "estimator", "covariance")
    assert wording.more_seeds(board(rows, [()], cells, names)) == ["more seeds that would tell rows from the best, a (approximate): b x ~12"]
    gone = board(rows[1:], [()], cells[1:], names, baseline=rows[0])
    assert "difference: row - a mc" in lines(gone)


def test_notes_have_footnotes_what_is_hidden_and_notes():
    assert wording.notes(boards.ties(hidden={"summaries": 2, "runs": 0})) == ["[1] limit_data is 0.5", "not shown: 2 summaries", "a note"]
