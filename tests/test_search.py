"""What a search may try of a setting."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentbench.search import Choices, Range, parse_searched, space_problem

WRONG = [
    (3, "expected {low: ..., high: ...} or {choices: [...]}"),
    ({}, "expected {low: ..., high: ...} or {choices: [...]}"),
    ({"low": 1}, "'high' is missing"),
    ({"low": 2, "high": 1}, "low must be below high"),
    ({"low": 1, "high": 1}, "low must be below high"),
    ({"low": 0, "high": 1, "log": True}, "low must be above 0 where log is true"),
    ({"low": 1, "hgih": 2}, "unknown key 'hgih' (did you mean 'high'?); known: low, high, log"),
    ({"low": True, "high": 2}, "low: expected a number, got true"),
    ({"low": "1", "high": 2}, "low: expected a number, got '1'"),
    ({"low": 1, "high": float("inf")}, "finite"),
    ({"low": 1, "high": 2, "log": 1}, "log: expected true or false, got 1"),
    ({"choices": 1}, "choices: "),
    ({"choices": [1]}, "expected two values or more"),
    ({"choices": [1, 1.0]}, "1.0 is given twice"),
    ({"choices": [[1], 2]}, "expected a number, a text, or true or false"),
    ({"choices": [1, 2], "log": True}, "unknown key 'log'"),
]


@pytest.mark.parametrize(("value", "message"), WRONG)
def test_what_is_no_range_and_no_choices_is_refused(value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_searched(value)


def test_ranges_of_whole_bounds_have_whole_numbers():
    whole, real = parse_searched({"low": 1, "high": 5}), parse_searched({"low": 1.0, "high": 5})
    assert (whole.whole, real.whole) == (True, False)
    assert (whole.member(3), whole.member(3.5), real.member(3.5)) == (3, None, 3.5)
    assert all(isinstance(example, int) for example in whole.examples)
    assert any(example != int(example) for example in real.examples)


@pytest.mark.parametrize("value", [0.9, 5.1, None, "3", True])
def test_what_is_outside_a_range_is_no_member(value):
    assert Range(low=1.0, high=5.0).member(value) is None


def test_a_choice_is_found_as_suites_compare_values():
    choices = Choices(choices=(1, "0.5 epochs", False))
    assert (choices.member(1.0), choices.member("0.5 epochs"), choices.member(False), choices.member(2)) == (1, "0.5 epochs", False, None)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.floats(0, 1))
def test_rounding_stays_within_the_bounds_and_near(one, other, share):
    low, high = min(one, other), max(one, other)
    if low < high:
        value = low + share * (high - low)
        rounded = Range(low=low, high=high).rounded(value)
        assert low <= rounded <= high
        assert abs(rounded - value) <= 1e-3 * value


def test_what_a_part_declares_is_ranges_and_choices_by_setting():
    assert space_problem({"beta": Range(low=1, high=2), "training.optimizer": Choices(choices=("adam", "sgd"))}) is None
    for wrong in (["beta"], {"beta": (1, 2)}, {1: Range(low=1, high=2)}):
        assert "must be a mapping from dotted settings to Range(low=, high=) or Choices(choices=)" in space_problem(wrong)
