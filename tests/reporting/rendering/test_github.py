"""Leaderboards in GitHub's Markdown."""

import html
import re

import pytest

from latentbench.reporting.rendering import render
from tests.reporting.rendering import boards
from tests.reporting.rendering.boards import BOARDS, HOSTILE


def parsed(text):
    """The table's rows as GitHub reads them: split at pipes without a backslash before them, without backslashes and entities."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[plain(part) for part in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def plain(text):
    return html.unescape(re.sub(r"\\([\\`*_{}\[\]|~#$])", r"\1", text.strip()))


@pytest.mark.parametrize("name", BOARDS)
def test_every_row_has_as_many_cells_as_the_header(name):
    made = BOARDS[name]()
    head, rule, *rows = parsed(render(made, "github"))
    assert all(len(row) == len(head) for row in (rule, *rows))
    assert len(rows) == len(made.rows)
    assert all(re.fullmatch("-+:?", cell) for cell in rule)


def test_starred_values_are_bold_and_have_all_that_a_cell_says():
    _, _, *rows = parsed(render(boards.based(), "github"))
    assert rows[0] == ["gaussian", "**133.12 ± 0.80** a", "1-2", "baseline"]
    assert rows[2] == ["laplace", "134.60 ± 0.70 b (n = 4, 1 failed) [1]", "2-3", "+1.48 ± 0.41 (p < .001, r = .20)"]


def test_headings_join_the_levels_of_names():
    head, *_ = parsed(render(boards.wide(), "github"))
    assert head[:4] == ["family", "cifar16 / conv", "rank", "cifar16 / linear"]
    assert head[-1] == "mean rank"
    head, *_ = parsed(render(boards.several(), "github"))
    assert head == ["family", "mnist / nelbo", "mnist / knn_accuracy at 200", "digits / nelbo", "digits / knn_accuracy at 200"]


def test_names_come_back_as_they_are_and_are_no_markup():
    text = render(boards.hostile(), "github")
    _, _, *rows = parsed(text)
    assert [row[0] for row in rows] == [name if name.isprintable() else row[0] for name, row in zip(HOSTILE, rows, strict=True)]
    assert [row[0] for row in rows][2] == r"\x1b[31mred"
    assert not re.search(r"<(?!!-- -->)", text)
    assert re.search(r"(?<!\\)\*see", text) is None


def test_notes_are_a_list_below():
    text = render(boards.ties(), "github")
    assert "- bold: not significantly worse than the best of its column" in text
    assert r"- \[1\] limit\_data is 0.5" in text
    details = render(boards.ties(), "github", details=True)
    assert "- nelbo, row - the best, gaussian:\n  - poisson: +0.38" in details
