"""Leaderboards as tables of a page."""

from dataclasses import replace

from latentbench.reporting.comparison import Cell, Column, Comparison, Contrast
from latentbench.reporting.report.page import Entry
from latentbench.reporting.report.tables import leaderboard


def comparison(**changes):
    rows = [("poisson", "mc"), ("gaussian", "")]
    cells = [[Cell(1.5, 1.4, 1.6, 5, letters="a", rank=(1, 2), star=True)], [Cell(1.6, 1.5, 1.7, 5, failed=1, letters="a", rank=(1, 2))]]
    given = {"cells": cells, "notes": ["a note"], "footnotes": {"a": "other GPU"}, "hidden": {"summaries": 3}, **changes}
    return Comparison(
        ["family", "estimator"], ["dataset"], rows, [Column("nelbo", ("digits",), "lower")], split="validation", interval="99 %", **given
    )


def test_a_leaderboard_shows_ties_ranks_and_what_it_hides():
    table = leaderboard(comparison())
    assert [head.text for head in table.heads] == ["family", "estimator", "nelbo", "rank, nelbo"]
    first, second = (row[2] for row in table.rows)
    assert (first.text, first.strong, first.value) == ("1.50 ± 0.10 a", True, 1.5)
    assert (second.text, second.strong, second.value) == ("1.60 ± 0.10 a (1 failed)", False, 1.6)
    assert [(row[3].text, row[3].value) for row in table.rows] == [("1-2", 1), ("1-2", 1)]
    assert table.keys == 2
    assert {"[a] other GPU", "a note", "not shown: 3 summaries"} <= set(table.notes)
    assert "lower is better" in table.caption


def test_a_leaderboard_without_ranks_has_no_column_of_them():
    table = leaderboard(comparison(cells=[[Cell(1.5, n=1)], [None]]))
    assert [head.text for head in table.heads] == ["family", "estimator", "nelbo"]
    assert table.rows[1][2] == Entry("")


def test_differences_from_the_baseline_have_a_column_and_sort_by_size():
    contrast = Contrast(-2.5, 0.5, 5, True, 0.9, 0.001, 0.002, None)
    cells = [[Cell(1.5, 1.4, 1.6, 5, contrast=contrast)], [Cell(4, 3.9, 4.1, 5)]]
    table = leaderboard(comparison(cells=cells, baseline=("gaussian", "")))
    assert table.heads[-1].text == "difference, nelbo"
    assert [row[-1].text.split(" ")[0] for row in table.rows] == ["-2.50", "baseline"]
    assert [row[-1].value for row in table.rows] == [-2.5, None]


def test_many_settings_share_the_last_column_of_names():
    names = ["family", "estimator", "encoder", "beta", "latent_dim"]
    rows = [("poisson", "mc", "linear", "1", "8"), ("gaussian", "exact", "conv", "2", "")]
    one = replace(comparison(), row_names=names, rows=rows)
    table = leaderboard(one)
    assert [head.text for head in table.heads][:4] == ["family", "estimator", "encoder", "other settings"]
    assert [row[3].text for row in table.rows] == ["beta=1 latent_dim=8", "beta=2"]
