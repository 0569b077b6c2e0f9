"""What cells show."""

import pytest

from latentbench.reporting.comparison import Cell, marks_of
from latentbench.reporting.rendering import cell_text
from latentbench.reporting.rendering.cells import shown_cells
from tests.reporting.rendering.boards import board, cell


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (cell(41.614, 0.123), "41.61 ± 0.12"),
        (cell(41.614, n=1), "41.61"),
        (cell(41.614, 12.0, 3, failed=2), "41.6 ± 12.0 (2 failed)"),
        (cell(41.614, 0.123, failed=1, missing=2, nan=3, infinite=4), "41.61 ± 0.12 (1 failed, 2 missing, 3 NaN, 4 infinite)"),
        (cell(float("nan"), n=0, failed=3), "- (3 failed)"),
        (cell(float("inf"), n=1), "-"),
        (cell(167.2, 0.1, None), "167.2 ± 0.1"),
        (cell(float("nan"), n=None), "-"),
        (cell(5000.5, n=5, censored=1), "> 5,000.5"),
        (Cell(4.9, 3.1, 8.2, n=5), "4.9 [3.1, 8.2]"),
    ],
)
def test_a_cell_is_a_line_of_text(made, text):
    assert cell_text(made) == text


def test_n_is_shown_where_it_differs_from_that_of_most_cells():
    made = board([("a",), ("b",), ("c",)], [()], [[cell(1.0, n=5)], [cell(2.0, n=5)], [cell(3.0, n=4)]])
    assert [row[0].remark for row in shown_cells(made)] == ["", "", "(n = 4)"]


def test_ranks_and_marks():
    cells = [[cell(1.0, rank=(2, 2), marks="12")], [cell(1.0, rank=(1, 3), marks="10, 1")]]
    made = board([("a",), ("b",)], [()], cells, footnotes={"1": "", "2": "", "10": ""})
    assert [(row[0].rank, row[0].marks) for row in shown_cells(made)] == [("2", ("1", "2")), ("1-3", ("10", "1"))]


def test_marks_of_one_word():
    assert marks_of("†‡", {"†", "‡"}) == ("†", "‡")
    assert marks_of("note", {"note"}) == ("note",)
    assert marks_of("", {}) == ()
