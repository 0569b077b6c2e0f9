"""Numbers that people write, in suites, profiles and flags: lists like `0-7`, and durations like `12h`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator

MOST_NUMBERS = 10_000


def parse_numbers(text: str) -> list[int]:
    """`0-7`, `0,2` or `0,4-6` as numbers, each once.

    Raises:
        ValueError: the text is not of that form; the message says what is.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise ValueError("expected numbers like 0-7 or 0,2")
        if int(last or first) - int(first) >= MOST_NUMBERS:
            raise ValueError(f"more than {MOST_NUMBERS} numbers")
        numbers += range(int(first), int(last or first) + 1)
    if len(set(numbers)) < len(numbers):
        raise ValueError("a number stands twice")
    return numbers


def parse_duration(text: str) -> float:
    """`90`, `90s`, `30m` or `12h` in seconds.

    Raises:
        ValueError: the text is not of that form; the message says what is.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if seconds <= 0:
        raise ValueError("expected a duration above 0, like 90s, 30m or 12h")
    return seconds


def _checked_duration(text: str) -> str:
    parse_duration(text)
    return text


def _checked_numbers(text: str) -> str:
    if text != "none":
        parse_numbers(text)
    return text


def _count_or_auto(value: object) -> int | str:
    if value == "auto":
        return "auto"
    if isinstance(value, (int, str)) and not isinstance(value, bool) and str(value).isdecimal() and int(value) >= 1:
        return int(value)
    raise ValueError("expected a number of at least 1, or auto")


Numbers = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value), AfterValidator(_checked_numbers)]
"""An option: numbers like `0-7`, or `none`."""
Duration = Annotated[str, AfterValidator(_checked_duration)]
"""An option: a duration like `12h`."""
CountOrAuto = Annotated[int | Literal["auto"], BeforeValidator(_count_or_auto)]
"""An option: a number of at least 1, or `auto`."""
