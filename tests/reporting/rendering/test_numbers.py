"""Numbers as texts: they say what the number is, to the precision that they show."""

import re
from decimal import Decimal
from math import inf, isclose, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latentbench.reporting.rendering.numbers import SIGNIFICANT, correlation, number, probability


def around(mean, half, **fields):
    return str(number(mean, mean - half, mean + half, **fields))


def parsed(text):
    """A shown number, and half a unit of its last digit."""
    digits, _, exponent = text.replace(",", "").partition("e")
    power = Decimal(10) ** int(exponent or 0)
    return Decimal(digits) * power, Decimal(10) ** -len(digits.partition(".")[2]) * power / 2


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (41.614, 0.123, "41.61 ± 0.12"),
        (41.614, 12.0, "41.6 ± 12.0"),
        (-3.2, 0.5, "-3.20 ± 0.50"),
        (0.0996, 0.0996, "0.10 ± 0.10"),
        (12345.6, 250, "12,346 ± 250"),
        (3.2e-9, 1.5e-10, "3.20e-9 ± 0.15e-9"),
        (0.00052, 3.1e-6, "5.200e-4 ± 0.031e-4"),
        (1e9, 2.5e7, "1.000e9 ± 0.025e9"),
        (133.1, 1e-7, "133.1000 ± 1.0e-7"),
        (41.614, 0.0, "41.61 ± 0"),
        (0.0, 0.3, "0.00 ± 0.30"),
        (-0.0, 0.3, "0.00 ± 0.30"),
        (1e308, 1e300, "1.000000e308 ± 1.0e300"),
    ],
)
def test_an_interval_has_two_digits_and_the_mean_as_many_decimals(mean, half, text):
    assert around(mean, half) == text


@pytest.mark.parametrize(
    ("mean", "text"),
    [(41.614, "41.61"), (0.01234, "0.01234"), (1.234e-9, "1.234e-9"), (1e9, "1.000e9"), (12345.6, "12,345.6"), (0.0, "0.0"), (-5.0, "-5.000")],
)
def test_a_mean_without_an_interval_has_four_digits(mean, text):
    assert str(number(mean)) == text
    assert str(number(mean, mean, nan)) == text


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (167.2, 0.1, "167.2 ± 0.1"),
        (0.25, 0.1, "0.25 ± 0.10"),
        (149.2, 0.0, "149.2 ± 0.0"),
        (40.0, 1.0, "40.0 ± 1.0"),
        (3.2e-9, 1e-10, "3.2e-9 ± 0.1e-9"),
        (41.6123456789, 0.123456789, "41.61 ± 0.12"),
        (0.5, 1e-9, "0.5000000 ± 1.0e-9"),
    ],
)
def test_a_published_number_is_as_printed_unless_it_was_computed(mean, half, text):
    assert around(mean, half, printed=True) == text


def test_counts_are_integers():
    assert str(number(5000.0, counts=True)) == "5,000"
    assert str(number(12345678901.0, counts=True)) == "12,345,678,901"
    assert around(5000.0, 0.0, counts=True) == "5,000 ± 0"
    assert str(number(40.0, printed=True, counts=True)) == "40"
    assert around(5000.0, 12.0, counts=True) == "5,000.0 ± 12.0"


def test_censored_values_say_in_which_direction():
    assert str(number(5000.0, counts=True, censored=1)) == "> 5,000"
    assert str(number(0.1, censored=-1)) == "< 0.1000"


def test_an_interval_that_is_not_symmetric_is_shown_by_its_ends():
    assert str(number(4.9, 3.1, 8.2)) == "4.9 [3.1, 8.2]"
    assert str(number(4.9, 3.1, inf)) == "4.9 [3.1, inf]"
    assert str(number(4.9, -inf, inf)) == "4.900 [-inf, inf]"
    assert str(number(4.9, 4.9, 8.2)) == "4.9 [4.9, 8.2]"
    assert str(number(4.0e-9, 3.9e-9, 8.2e-9)) == "4.00e-9 [3.90e-9, 8.20e-9]"


def test_a_difference_has_a_sign():
    assert around(0.38, 0.5, signed=True) == "+0.38 ± 0.50"
    assert around(-3.2e-9, 1.5e-10, signed=True) == "-3.20e-9 ± 0.15e-9"


def test_shares_have_no_zero_before_the_point():
    assert [probability(p) for p in (0, 0.0009, 0.013, 0.0996, 0.5, 1)] == ["p < .001", "p < .001", "p = .013", "p = .10", "p = .50", "p = 1.00"]
    assert [correlation(r) for r in (0.934, -0.12, 1, -1, 0)] == ["r = .93", "r = -.12", "r = 1.00", "r = -1.00", "r = .00"]


numbers = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False).filter(lambda x: x == 0 or 1e-290 < abs(x) < 1e290)
halves = numbers.map(abs)


@given(numbers, st.booleans(), st.booleans())
@example(9999999.5, False, False)
@example(0.00099996, False, False)
def test_a_number_alone_reads_as_itself_to_its_last_digit(mean, counts, printed):
    value, unit = parsed(str(number(mean, counts=counts, printed=printed)))
    assert abs(value - Decimal(mean)) <= unit * Decimal("1.0001")
    assert (value > 0, value < 0) == (mean > 0, mean < 0)  # neither sign nor magnitude is lost
    assert isclose(value, mean, rel_tol=6e-4)


@given(numbers, halves, st.booleans())
@example(-0.0003, 5.0, False)
@example(9999999.0, 50.0, False)
@example(0.99996e-8, 1e-12, False)
@example(1e7, 5e6, True)
def test_a_mean_with_its_interval_reads_as_itself_within_the_interval(mean, half, printed):
    shown = number(mean, mean - half, mean + half, printed=printed)
    if shown.bounds is not None:  # the ends were rounded to where they are not around the mean
        pytest.fail(f"{mean} ± {half} is symmetric")
    half = (mean + half) / 2 - (mean - half) / 2  # what is left of it in the ends
    value, unit = parsed(shown.mean)
    assert abs(value - Decimal(mean)) <= unit * Decimal("1.0001")
    exact = printed and value == Decimal(repr(mean))
    assert exact or unit <= max(Decimal(half) * Decimal("0.051"), Decimal(abs(mean)) * Decimal("0.00051"), Decimal("0.051"))
    told, unit = parsed(shown.half)
    assert abs(told - Decimal(half)) <= max(unit, Decimal(abs(mean)) * Decimal(10) ** (1 - 2 * SIGNIFICANT)) * Decimal("1.0001")
    assert mean >= 0 or value <= 0
    assert re.fullmatch(r"-?[\d,.]+(e-?\d+)?", shown.mean)


@given(numbers, numbers, numbers)
@example(0.0, 0.05, 1.4e-45)
def test_ends_of_an_interval_are_in_order(one, two, three):
    low, mean, high = sorted((one, two, three))
    shown = number(mean, low, high)
    if shown.bounds is not None:
        ends = [parsed(text) for text in (shown.bounds[0], shown.mean, shown.bounds[1])]
        assert ends[0][0] <= ends[1][0] + ends[1][1] + ends[0][1]
        assert ends[1][0] <= ends[2][0] + ends[2][1] + ends[1][1]
        for end, (value, unit) in zip((low, mean, high), ends, strict=True):
            assert abs(value - Decimal(end)) <= unit * Decimal("1.0001")
