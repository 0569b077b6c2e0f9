"""Numbers as texts, with as many digits as their interval bears."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import isfinite, isnan

PRINTED_DIGITS = 6
"""Significant digits up to which a published number is shown as it was printed; one with more was computed."""
SIGNIFICANT = 7
"""Significant digits of a mean at most: those of a 32-bit float."""
MAX_DECIMALS = 6
"""Decimals of a number below .001, above which it gets an exponent."""
LARGE, LARGEST_COUNT = 1e7, 1e15
"""Numbers from LARGE get an exponent, counts from LARGEST_COUNT."""


@dataclass(frozen=True)
class Number:
    """A mean and its interval as texts: `mean`, or `mean` ± `half`, or `mean` [`low`, `high`] for an interval that is not symmetric.

    `relation` is `>` or `<` for a value that is only known to be larger or smaller than the mean.
    """

    mean: str
    half: str = ""
    bounds: tuple[str, str] | None = None
    relation: str = ""

    def __str__(self) -> str:
        """One line of text, as in `41.61 ± 0.12`, `3.20e-9 ± 0.15e-9`, `4.9 [3.1, 8.2]` and `> 5,000`."""
        mean = f"{self.relation} {self.mean}" if self.relation else self.mean
        if self.bounds is not None:
            return f"{mean} [{self.bounds[0]}, {self.bounds[1]}]"
        return f"{mean} ± {self.half}" if self.half else mean


def number(
    mean: float,
    low: float | None = None,
    high: float | None = None,
    *,
    printed: bool = False,
    counts: bool = False,
    censored: int = 0,
    signed: bool = False,
) -> Number:
    """The texts of a finite mean and of its interval.

    An interval has two significant digits, and the mean as many decimals; a mean without one has four significant digits. There is at least one
    decimal, unless the interval is at least 100. Thousands are separated by commas.

    Args:
        mean: the value.
        low: the lower end of the interval; without both ends there is none.
        high: the upper end. Both may be infinite.
        printed: whether the value was published; then it has the decimals that it was printed with.
        counts: whether all values of the column are integers; then one without an interval has no decimals.
        censored: 1 where the value is only known to be larger than the mean, -1 where smaller.
        signed: whether a positive number has a plus sign.
    """
    relation = {1: ">", -1: "<"}.get(censored, "")
    if low is None or high is None or isnan(low) or isnan(high):
        return Number(_alone(mean, printed, counts, signed), relation=relation)
    half = _without_noise(high / 2 - low / 2, mean)
    if not (isfinite(half) and abs(low / 2 + high / 2 - mean) <= max(0.05 * half, 1e-12 * abs(mean))):
        near = min((abs(end - mean) for end in (low, high) if isfinite(end) and end != mean), default=0.0)
        ends = [_written(end, _borne(near, end)) if isfinite(end) else f"{end:g}" for end in (low, high)]
        return Number(_written(mean, _borne(near, mean), signed=signed), bounds=(ends[0], ends[1]), relation=relation)
    as_printed = _printed_decimals(mean, half, counts) if printed else None
    if as_printed is not None:
        exponent = _exponent(max(abs(mean), half), as_printed)
        return Number(_written(mean, as_printed, exponent, signed), _written(half, as_printed, exponent), None, relation)
    return Number(*_with_half(mean, half, counts, signed), None, relation)


def probability(p: float) -> str:
    """`p = .013`, `p < .001`."""
    return "p < .001" if p < 0.001 else f"p = {_bare(f'{p:.3f}' if p < 0.0995 else f'{p:.2f}')}"


def correlation(r: float) -> str:
    """`r = .93`."""
    return f"r = {_bare(f'{r:.2f}')}"


def _bare(text: str) -> str:
    """A share without the zero before its point."""
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def _without_noise(half: float, mean: float) -> float:
    """Half an interval's width, rounded to what is left of it in the digits of the ends that it was computed from."""
    return round(half, 12 - _place(mean)) if mean and isfinite(half) else half


def _alone(mean: float, printed: bool, counts: bool, signed: bool) -> str:
    """A mean without an interval."""
    if counts and mean == int(mean) and abs(mean) < LARGEST_COUNT:
        return f"{mean + 0.0:{'+' if signed else ''},.0f}"
    as_printed = _printed_decimals(mean, 0.0, counts) if printed else None
    decimals = _decimals(0.0, mean) if as_printed is None else as_printed
    return _written(mean, decimals, _exponent(abs(mean), decimals), signed)


def _with_half(mean: float, half: float, counts: bool, signed: bool) -> tuple[str, str]:
    """A mean, and half the width of an interval around it, with the same exponent; an interval far below the mean's digits has its own."""
    if half == 0:
        return _alone(mean, False, counts, signed), "0"
    decimals = _borne(half, mean)
    exponent = _exponent(max(abs(mean), half), decimals)
    own = decimals < 1 - _place(half)
    return _written(mean, decimals, exponent, signed), _written(half, 1 - _place(half), _place(half)) if own else _written(half, decimals, exponent)


def _place(value: float, digits: int = 2) -> int:
    """The power of ten of a number's first digit, once it is rounded to `digits` significant ones."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _decimals(half: float, value: float) -> int:
    """Decimals that show two significant digits of an interval, or four of a value without one; negative ones end left of the point."""
    if half:
        return max(1 - _place(half), 1) if half < 100 and abs(value) < LARGE else 1 - _place(half)
    wanted = 3 - _place(value, 4) if value else 1
    return max(wanted, 1) if abs(value) < LARGE else wanted


def _borne(half: float, value: float) -> int:
    """The same decimals, no more than a number has."""
    wanted = _decimals(half, value)
    return min(wanted, SIGNIFICANT - 1 - _place(value, SIGNIFICANT)) if value else wanted


def _printed_decimals(mean: float, half: float, counts: bool) -> int | None:
    """Decimals that a published number was printed with; None where it has more digits than a printed table would, and so was computed."""
    numbers = [Decimal(repr(value)).normalize().as_tuple() for value in (mean, half)]
    wanted = max(-int(number.exponent) for number in numbers)
    if any(len(number.digits) > PRINTED_DIGITS for number in numbers) or wanted + _place(max(abs(mean), half), SIGNIFICANT) >= SIGNIFICANT:
        return None
    return max(wanted, 0 if counts else 1) if abs(mean) < LARGE else wanted


def _exponent(largest: float, decimals: int) -> int | None:
    """The exponent of ten of a number that is illegible without."""
    if largest >= LARGE or (0 < largest < 1e-3 and decimals > MAX_DECIMALS):
        return _place(largest, min(max(decimals + _place(largest, SIGNIFICANT) + 1, 1), SIGNIFICANT))
    return None


def _written(value: float, decimals: int, exponent: int | None = None, signed: bool = False) -> str:
    """A number with some decimals, which are counted from its point as it would be without an exponent."""
    sign = "+" if signed else ""
    if exponent is None and value == 0 and decimals > MAX_DECIMALS:
        return f"{0:{sign}}"
    if exponent is None and (exponent := _exponent(abs(value), decimals)) is None:
        return f"{value + 0.0:{sign},.{max(decimals, 0)}f}"  # + 0.0: no sign of a negative zero
    return f"{Decimal(value + 0.0).scaleb(-exponent):{sign},.{min(max(decimals + exponent, 0), SIGNIFICANT - 1)}f}e{exponent}"
