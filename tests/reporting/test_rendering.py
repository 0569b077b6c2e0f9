"""Leaderboards as text."""

import io
from dataclasses import fields

import pandas as pd
import pytest

from latentbench.errors import UserError
from latentbench.reporting.leaderboard import Comparison
from latentbench.reporting.query import Query
from latentbench.reporting.rendering import cell_text, render
from latentbench.reporting.statistics import Cell

CELLS = [[Cell(9.2, 1.5, 3)], [Cell(11.17, 7.3, 3, 1)], [None]]
BOARD = Comparison(Query(rows=("family",)), [("gaussian",), ("poisson",), ("laplace",)], [()], CELLS, frozenset({(0, 0)}), "lower", ["a note"])


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(41.614, 0.123, 5), "41.61 ± 0.12"),
        (Cell(41.614, None, 1), "41.61"),
        (Cell(0.01234, None, 1), "0.0123"),
        (Cell(41.614, 12.0, 3, 2), "41.6 ± 12.0 (2 failed)"),
        (Cell(float("nan"), None, 0, 3), "- (3 failed)"),
        (Cell(167.2, 0.1, None), "167.2 ± 0.1"),
        (Cell(0.25, 0.1, None), "0.25 ± 0.10"),
    ],
)
def test_a_cell_has_the_decimals_that_its_interval_bears(cell, text):
    assert cell_text(cell) == text


def test_a_table_has_a_title_marks_and_notes():
    title, *_, best, second, missing, blank, notes = render(BOARD).splitlines()
    assert title == "nelbo on validation, lower is better, * best of its column"
    assert best.split() == ["gaussian", "*", "9.2", "±", "1.5"]
    assert second.split() == ["poisson", "11.2", "±", "7.3", "(1", "failed)"]
    assert (missing.split(), blank, notes) == (["laplace"], "", "a note")


def test_formats():
    assert r"\begin{tabular}" in render(BOARD, "latex")
    assert "| family" in render(BOARD, "github")
    frame = pd.read_csv(io.StringIO(render(BOARD, "csv")))
    assert list(frame.columns) == ["family", "metric", *(field.name for field in fields(Cell))]
    assert frame["mean"].tolist() == [9.2, 11.17]
    with pytest.raises(UserError, match=r"unknown format 'latx' .did you mean 'latex'"):
        render(BOARD, "latx")
