"""Leaderboards on a terminal."""

import re

import pytest
from rich.cells import cell_len

from latentbench.reporting.comparison import Contrast
from latentbench.reporting.rendering import render
from latentbench.reporting.rendering.terminal import terminal, terminal_width
from tests.reporting.rendering import boards
from tests.reporting.rendering.boards import BOARDS, HOSTILE, board, cell

TIES = """\
nelbo on validation: negative evidence lower bound (nats, lower is better)

all: dataset mnist

family       nelbo                                            rank
-----------  -----------------------------------------------  ----
gaussian     * 133.12 ± 0.80 a                                1-2
poisson      * 133.50 ± 0.60 ab                               1-3
laplace        134.60 ± 0.70 b  (n = 4, 1 failed) [1]         2-3
categorical      -              (3 failed, 1 missing, 1 NaN)

*: not significantly worse than the best of its column
a, b: values of a column that share a letter cannot be told apart
rank: the ranks in its column that the tests leave open
±: 99 % Student t interval over seeds
n = 5 seeds where none is given
-: no seed has a value
failed: the run failed
missing: there is no run of a seed that other rows have
NaN: the value is not a number

[1] limit_data is 0.5
not shown: 2 summaries
a note
more seeds that would tell rows from the best, gaussian (approximate): poisson
  ~12"""


@pytest.fixture
def piped(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)


def tables(text):
    """The tables of a text: for each its rows, below the rule."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    found = []
    for lines in blocks:
        rule = next((i for i, line in enumerate(lines) if re.fullmatch(r"-+(  -+)*", line)), None)
        if rule is not None:
            found.append(lines[rule + 1 :])
    return found


def test_a_leaderboard():
    assert terminal(boards.ties(), 80) == TIES


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("details", [False, True])
def test_every_line_fits(name, details):
    lines = terminal(BOARDS[name](), 80, details).splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)


def test_a_wide_leaderboard_is_split_and_every_table_names_its_rows():
    found = tables(terminal(boards.wide(), 80))
    assert len(found) == 3
    assert all([line.split()[0] for line in rows] == [f"family{i}" for i in range(8)] for rows in found)
    assert all(sum(f"{100 + 10 * j}.00 ± 0.12" in line for rows in found for line in rows) == 1 for j in range(6))


def test_labels_span_their_columns():
    lines = terminal(boards.wide(), 80).splitlines()
    datasets, encoders, heads = lines[4:7]
    assert re.fullmatch(r"dataset  -+ cifar16 -+", datasets)
    assert re.fullmatch(r"encoder  -+ conv -+  -+ linear -+", encoders)
    assert heads.split() == ["family", "nelbo", "rank", "nelbo", "rank"]
    assert len(datasets) == len(encoders) == len(lines[7])


def test_constant_parts_of_names_are_said_once():
    text = terminal(boards.wide(), 80)
    assert "all: estimator mc" in text
    assert text.count("mc") == 1


def test_names_are_shortened_and_joined_where_they_would_not_fit():
    rows = [("gaussian+relu", "straight_through", "full"), ("poisson", "exact", "")]
    names = ("family", "estimator", "estimator_options.covariance")
    made = board(rows, [("conv",), ("linear",)], [[cell(41.6, 0.12)] * 2] * 2, names, ("encoder",))
    (found,) = tables(terminal(made, 80))
    assert [row.split()[:3] for row in found] == [["gaussian+relu", "straight_through", "full"], ["poisson", "exact", "-"]]
    assert "covariance: estimator_options.covariance" in terminal(made, 80)
    (found,) = tables(terminal(made, 66))
    assert found[1].split()[:3] == ["poisson", "exact", "41.60"]
    assert "family estimator covariance " in terminal(made, 66)


def test_seeds_are_parted_from_values_only_where_nothing_else_fits():
    made = board([("x" * 50,), ("y",), ("z",)], [()], [[cell(41.6, 0.12)], [cell(40.7, 0.12, 4, failed=1)], [None]])
    assert "(n = 4, 1 failed)" in terminal(made, 90)
    values, seeds = tables(terminal(made, 70))
    assert [row.split()[0] for row in values] == ["x" * 50, "y", "z"]
    assert [row.split(None, 1) for row in seeds] == [["y", "n = 4, 1 failed"]]


def test_two_rows_of_many_columns_are_transposed():
    text = terminal(boards.flat(), 80)
    (rows,) = tables(text)
    assert [row.split()[0] for row in rows] == [*(f"data{j}" for j in range(10)), "mean"]
    assert rows[0].split() == ["data0", "*", "41.50", "±", "0.12", "1", "42.50", "±", "0.12", "2"]
    assert rows[-1].split() == ["mean", "rank", "1.0", "2.0"]
    assert "the best of its row" in text
    assert "all: beta 0.5" in text


def test_a_column_of_several_metrics_does_not_name_one():
    lines = terminal(boards.several(), 80).splitlines()
    assert lines[0] == "nelbo, knn_accuracy at 200 on validation"
    assert lines[2] == "knn_accuracy at 200: accuracy of nearest neighbours (share, higher is better)"
    assert lines[5].split() == ["dataset", "metric", "mean", "mean"]


def test_piped_output_has_a_line_a_row(piped):
    assert terminal_width() is None
    (rows,) = tables(render(boards.wide()))
    assert [line.split()[0] for line in rows] == [f"family{i}" for i in range(8)]
    assert all(sum(part == "±" for part in line.split()) == 6 for line in rows)


def test_columns_of_the_environment_count_when_piped(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert len(tables(render(boards.wide()))) == 4  # mean ranks have no room beside the last two columns
    monkeypatch.setenv("COLUMNS", "300")
    assert len(tables(render(boards.wide()))) == 1
    monkeypatch.setenv("COLUMNS", "none")
    assert terminal_width() is None


def test_a_cell_that_is_wider_than_the_terminal_is_neither_cut_nor_wrapped():
    name = "x" * 90
    text = terminal(board([(name,), ("b",)], [()], [[cell(41.6, 0.12)], [cell(1.0, 0.1)]]), 40)
    assert f"{name}  41.60 ± 0.12" in text.splitlines()


def test_decimal_points_are_under_each_other():
    cells = [[cell(1234.5, 0.12)], [cell(-1.25, 0.012)], [cell(3e-9, 1e-10)], [cell(5.0, n=5, censored=1)], [cell(float("nan"), n=0, failed=2)]]
    (rows,) = tables(terminal(board([(c,) for c in "abcde"], [()], cells), 80))
    assert rows == [
        "a       1,234.50 ± 0.12",
        "b          -1.250 ± 0.012",
        "c           3.00e-9 ± 0.10e-9",
        "d         > 5.000",
        "e           -                 (2 failed)",
    ]


def test_wide_characters_are_as_wide_as_they_are_printed():
    (rows,) = tables(terminal(board([("日本",), ("abcd",)], [()], [[cell(1.5, 0.1)], [cell(2.5, 0.1)]]), 80))
    assert rows == ["日本    1.50 ± 0.10", "abcd    2.50 ± 0.10"]


def test_a_baseline_gives_differences():
    text = terminal(boards.based(), 140)
    (rows,) = tables(text)
    assert rows[0].endswith("baseline")
    assert rows[1].endswith("+0.38 ± 0.50 (p = .040, r = .93)")
    assert rows[2].endswith("+1.48 ± 0.41 (p < .001, r = .20)")
    assert "difference: row - gaussian" in text
    assert "p: of no difference, adjusted" in text


def test_details_list_contrasts_column_by_column():
    lines = terminal(boards.ties(), 120, details=True).splitlines()
    assert lines[-3:] == [
        "nelbo, row - the best, gaussian:",
        "  poisson: +0.38 ± 0.50 (p = .040, r = .93); tell apart: ~12 more seeds (approximate)",
        "  laplace: +1.48 ± 0.41 (p < .001, r = .20)",
    ]


def test_an_unpaired_contrast_says_so():
    unpaired = Contrast(1.0, None, 3, False, None, 0.5, None, None)
    made = board([("a",), ("b",)], [()], [[cell(1.0, 0.1)], [cell(2.0, 0.1, contrast=unpaired)]], baseline=("a",))
    assert "+1.000 (p = .50, unpaired, n = 3)" in terminal(made, 100)


def test_names_are_literal_and_obeyed_by_no_terminal():
    text = terminal(boards.hostile(), 80)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert all(name in text for name in HOSTILE if name.isprintable())
    assert r"\x1b[31mred" in text
    assert r"x\ny" in text
    assert r"\u202eevil" in text
    assert r"[†] *see*\x07" in text


def test_colour_changes_nothing_but_the_style():
    made = boards.hostile()
    coloured = terminal(made, 80, colour=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).split("\n") == terminal(made, 80).split("\n")
    assert "\x1b[1m* 133.12" in terminal(boards.ties(), 80, colour=True)
    assert "\x1b" not in render(boards.ties())


def test_leaderboards_with_little_in_them():
    text = terminal(boards.single(), 80)
    assert tables(text) == [["poisson  mc         41.60 ± 0.12"]]
    assert tables(terminal(boards.bare(), 80)) == [["poisson", "gaussian"]]
    assert terminal(board([], [()], []), 80)


def test_output_that_is_no_terminal_has_no_colour(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert "\x1b" not in render(boards.ties(), colour=None)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1m" in render(boards.ties(), colour=None)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in render(boards.ties(), colour=None)
