"""Numbers that people write: lists like `0-7`, and durations like `12h`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator

from latentbench.errors import UserError

MOST_NUMBERS = 10_000


def _runs_or_auto(value: object) -> int | str:
    """`auto`, or a number of at least 1, also as a text."""
    if value == "auto":
        return "auto"
    if isinstance(value, (int, str)) and not isinstance(value, bool) and str(value).isdecimal() and int(value) >= 1:
        return int(value)
    raise ValueError("expected a number of at least 1, or auto")


PerGpu = Annotated[int | Literal["auto"], BeforeValidator(_runs_or_auto)]
"""An option of engines: how many runs share a GPU."""


def parse_numbers(text: str, flag: str) -> list[int]:
    """`0-7`, `0,2` or `0,4-6` as numbers, each once.

    Raises:
        UserError: the text is not of that form.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UserError(f"{flag} {text}: expected numbers like 0-7 or 0,2")
        if int(last or first) - int(first) >= MOST_NUMBERS:
            raise UserError(f"{flag} {text}: more than {MOST_NUMBERS} numbers")
        numbers += range(int(first), int(last or first) + 1)
    if len(set(numbers)) < len(numbers):
        raise UserError(f"{flag} {text}: a number stands twice")
    return numbers


def parse_duration(text: str, flag: str) -> float:
    """`90`, `90s`, `30m` or `12h` in seconds.

    Raises:
        UserError: the text is not of that form.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if seconds <= 0:
        raise UserError(f"{flag} {text}: expected a duration above 0, like 90s, 30m or 12h")
    return seconds
