"""Leaderboards as CSV and as a frame."""

import io

import pandas as pd
import pytest

from latentbench.reporting.comparison import Cell, Contrast
from latentbench.reporting.rendering import render
from tests.reporting.rendering import boards
from tests.reporting.rendering.boards import BOARDS, HOSTILE, board, cell


def read(made):
    return pd.read_csv(io.StringIO(render(made, "csv")), keep_default_na=False, na_values=[""])


@pytest.mark.parametrize("name", BOARDS)
def test_a_line_for_every_cell_that_has_runs(name):
    made = BOARDS[name]()
    assert len(read(made)) == sum(cell is not None for row in made.cells for cell in row)


def test_every_field_of_cell_and_contrast_is_a_column():
    frame = read(boards.based())
    fields = [*Cell.__dataclass_fields__, *(f"contrast_{name}" for name in Contrast.__dataclass_fields__)]
    assert set(fields) - {"rank", "contrast"} <= set(frame.columns)
    poisson = frame.iloc[1]
    assert poisson[["family", "dataset", "metric", "better", "unit", "split"]].tolist() == [
        "poisson",
        "mnist",
        "nelbo",
        "lower",
        "nats",
        "validation",
    ]
    assert poisson[["rank_low", "rank_high", "contrast_more_seeds", "letters", "star"]].tolist() == [1, 3, 12, "ab", True]
    assert frame["baseline"].tolist() == [True, False, False, False]
    assert frame["footnotes"][2] == "limit_data is 0.5"


def test_numbers_are_unrounded():
    value = 0.1 + 0.2
    text = render(board([("a",)], [()], [[cell(value, value)]]), "csv")
    frame = pd.read_csv(io.StringIO(text), dtype=str)  # Python's float reads back exactly; older versions of pandas round
    assert [float(frame[name][0]) for name in ("mean", "low", "high")] == [value, value - value, value + value]


def test_counts_are_integers_where_some_are_missing():
    assert "5,,," not in render(boards.odd(), "csv")
    assert boards.odd().frame()["n"].tolist()[:2] == [pd.NA, 5]


def test_no_spreadsheet_executes_a_name():
    names = read(boards.hostile())["family"].tolist()
    assert names == ["'=1+1" if name == "=1+1" else name if name.isprintable() else names[i] for i, name in enumerate(HOSTILE)]
    assert names[6] == r"x\ny"
    rows = [(name,) for name in ("+x", "-x", "@x", "-1.5", "+1e5", "x")]
    frame = read(board(rows, [()], [[cell(-1.0)]] * 6, ("=family",)))
    assert frame["'=family"].tolist() == ["'+x", "'-x", "'@x", "-1.5", "+1e5", "x"]
    assert frame["mean"].tolist() == [-1.0] * 6


def test_the_frame_has_names_as_they_are():
    frame = boards.hostile().frame()
    assert frame["family"].tolist() == list(HOSTILE)


def test_a_setting_with_the_name_of_a_field_has_its_own_column():
    frame = board([("a",)], [()], [[cell(1.0)]], ("mean",)).frame()
    assert (frame["setting.mean"][0], frame["mean"][0]) == ("a", 1.0)


def test_mean_ranks_and_empty_leaderboards():
    assert boards.flat().frame()["mean_rank"].tolist() == [1.0] * 10 + [2.0] * 10
    assert list(boards.bare().frame().columns) == ["family", "metric", "split", "mean"]
