"""Leaderboards as JSON."""

import json
from dataclasses import fields

import numpy as np
import pytest

from latentbench.reporting.comparison import Cell, Comparison, Contrast
from latentbench.reporting.rendering import render
from tests.reporting.rendering import boards
from tests.reporting.rendering.boards import BOARDS, HOSTILE, board, cell


def read(made):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(render(made, "json"), parse_constant=refuse)


@pytest.mark.parametrize("name", BOARDS)
def test_the_shape(name):
    made = BOARDS[name]()
    found = read(made)
    assert list(found) == ["version", *(field.name for field in fields(Comparison))]
    assert found["version"] == 1
    assert [len(row) for row in found["cells"]] == [len(made.columns)] * len(made.rows)
    cells = [cell for row in found["cells"] for cell in row if cell is not None]
    assert all(list(cell) == list(Cell.__dataclass_fields__) for cell in cells)
    assert all(list(cell["contrast"]) == list(Contrast.__dataclass_fields__) for cell in cells if cell["contrast"])


def test_values_come_back():
    found = read(boards.based())
    assert found["rows"] == [["gaussian"], ["poisson"], ["laplace"], ["categorical"]]
    assert found["baseline"] == ["gaussian"]
    assert found["cells"][1][0]["contrast"]["more_seeds"] == 12
    assert found["cells"][1][0]["rank"] == [1, 3]
    assert found["measures"]["nelbo"]["unit"] == "nats"


def test_numbers_that_are_not_finite_are_null_beside_their_counts():
    found = read(boards.ties())["cells"][3][0]
    assert (found["mean"], found["n"], found["failed"], found["missing"], found["nan"]) == (None, 0, 3, 1, 1)


def test_numbers_of_numpy_are_numbers():
    made = board([("a",)], [()], [[cell(np.float32(0.5), n=np.int64(5), star=np.bool_(True))]])
    found = read(made)["cells"][0][0]
    assert (found["mean"], found["n"], found["star"]) == (0.5, 5, True)


def test_names_come_back_as_they_are_in_ascii():
    text = render(boards.hostile(), "json")
    assert text.isascii()
    assert "\x1b" not in text
    assert [row[0] for row in json.loads(text)["rows"]] == list(HOSTILE)
