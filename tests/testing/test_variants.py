"""Which options a part is tried with."""

from enum import Enum
from typing import Literal

import pytest
from pydantic import Field, model_validator

from latentbench.part import Options, Registered
from latentbench.testing.variants import title, variants


class Colour(Enum):
    red = "red"
    blue = "blue"


class Several(Options):
    flag: bool = True
    mode: Literal["a", "b", "c"] = "a"
    colour: Colour = Colour.red
    maybe: Literal["x", "y"] | None = None
    number: float = Field(0.5, gt=0, lt=0.6)
    count: int = Field(3, ge=3, le=5)
    text: str = "as it is"


class Needs(Options):
    size: int


class Dependent(Options):
    low: float = 1.0
    high: float = 1.5

    @model_validator(mode="after")
    def _ordered(self):
        if self.low >= self.high:
            raise ValueError("low < high")
        return self


class Thing(Registered):
    name = "thing"
    options_model = Several


class NeedsSize(Registered):
    name = "needs_size"
    options_model = Needs


class Ordered(Registered):
    name = "ordered"
    options_model = Dependent


class Bare(Registered):
    name = "bare"


def values(key, seed=0):
    return {getattr(options, key) for options in variants(Thing, seed)}


def test_the_defaults_come_first():
    assert variants(Thing, 0)[0] == Several()


@pytest.mark.parametrize(
    ("key", "expected"),
    [("flag", {True, False}), ("mode", {"a", "b", "c"}), ("colour", {*Colour}), ("maybe", {None, "x", "y"}), ("text", {"as it is"})],
)
def test_every_value_of_an_enumerated_option_is_tried(key, expected):
    assert values(key) == expected


def test_numbers_are_drawn_within_their_bounds():
    drawn = values("number") - {0.5}
    assert len(drawn) == 3
    assert all(0 < number < 0.6 for number in drawn)
    assert values("count") <= {3, 4, 5}
    assert len(values("count")) > 1


def test_no_options_come_twice():
    found = variants(Thing, 0)
    assert all(options not in found[:i] for i, options in enumerate(found))


def test_draws_depend_on_the_seed_alone():
    assert variants(Thing, 0) == variants(Thing, 0)
    assert values("number", 0) != values("number", 1)


def test_draws_that_the_options_refuse_are_left_out():
    found = [options for seed in range(20) for options in variants(Ordered, seed)]
    assert all(options.low < options.high for options in found)
    assert len(found) > 20


def test_a_part_without_options_is_tried_once():
    assert variants(Bare, 0) == [Options()]


def test_a_part_whose_options_have_no_defaults_is_not_tried():
    assert variants(NeedsSize, 0) == []


def test_a_title_names_what_differs_from_the_defaults():
    assert title(Several()) == ""
    assert title(Several(flag=False, number=1 / 3)) == "flag=False, number=0.3333"
