"""Numbers as people write them in suites, profiles and flags: lists like `0-7`, durations like `12h`; and texts that are no numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

MAX_NUMBERS = 10_000
NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?", re.ASCII)


def same(one: object, other: object) -> bool:
    """Whether two settings are equal: numbers as numbers, so that 1 is 1.0, all others as texts."""
    first, second = _number(one), _number(other)
    return str(one) == str(other) if first is None or second is None else first == second


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return None if NUMBER.fullmatch(value) is None else int(value) if re.fullmatch(r"\d{1,300}", value, re.ASCII) else float(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def check_kind(value: object, kinds: frozenset[object]) -> None:
    """Refuse what pydantic would convert: true is not 1, `1_000` not a number, and `no` not a boolean.

    Args:
        value: what was given for a field, or a list of it.
        kinds: the types that the field may have, from `kinds_of`.

    Raises:
        ValueError: it is of another kind than the field.
    """
    for item in value if isinstance(value, (list, tuple)) else [value]:
        if kinds & {int, float} and not kinds & {bool, Any} and isinstance(item, bool):
            raise ValueError("expected a number; true and false are none")
        if kinds & {int, float} and not kinds & {str, Any} and isinstance(item, str) and "_" in item:
            raise ValueError("expected a number")
        if bool in kinds and not kinds & {int, float, str, Any} and not isinstance(item, bool) and item is not None:
            raise ValueError("expected a boolean, true or false")


def kinds_of(annotation: object) -> frozenset[object]:
    """The types in an annotation, those of literals included."""
    parts = get_args(annotation)
    if parts:
        return frozenset().union(*map(kinds_of, parts))
    return frozenset({annotation if isinstance(annotation, type) or annotation is Any else type(annotation)})


def parse_numbers(text: str) -> list[int]:
    """`0-7`, `0,2` or `0,4-6` as numbers, each once.

    Raises:
        ValueError: the text is not of that form; the message says what is.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not re.fullmatch(r"\d{1,20}(-\d{1,20})?", part.strip(), re.ASCII) or (dash and int(last) < int(first)):
            raise ValueError("expected numbers like 0-7 or 0,2")
        if int(last or first) - int(first) + len(numbers) >= MAX_NUMBERS:
            raise ValueError(f"more than {MAX_NUMBERS} numbers")
        numbers += range(int(first), int(last or first) + 1)
    check_distinct(numbers)
    return numbers


def check_distinct(numbers: Sequence[float]) -> None:
    """Raise a ValueError where a number occurs twice."""
    for number, count in Counter(numbers).items():
        if count > 1:
            raise ValueError(f"{number} is given twice")


@dataclass(frozen=True)
class Duration:
    """A time above 0 as people write it: `90`, `90s`, `30m` or `12h`. An option of pydantic models, which is written as it was given."""

    text: str
    seconds: float

    @classmethod
    def parse(cls, value: object) -> Self:
        """The duration that a text means.

        Raises:
            ValueError: it means none; the message says what does.
        """
        if isinstance(value, cls):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", value) if isinstance(value, str) else None
        seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
        if not 0 < seconds < inf:
            raise ValueError("expected a duration above 0, like 90s, 30m or 12h")
        return cls(str(value), seconds)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[smh]?\s*$"}


def duration(seconds: float) -> str:
    """Seconds in words, as in 2 min 05 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _checked_numbers(text: str) -> str:
    if text != "none":
        parse_numbers(text)
    return text


def _count_or_auto(value: object) -> int | str:
    if value == "auto":
        return "auto"
    if isinstance(value, (int, str)) and re.fullmatch(r"\d{1,9}", str(value), re.ASCII) and int(value) >= 1:
        return int(value)
    raise ValueError("expected a number of at least 1, or auto")


NUMBERS = r"\s*\d+(-\d+)?\s*(,\s*\d+(-\d+)?\s*)*"
"""The form of such lists, as regular expressions of JSON Schema have it."""
Numbers = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
    AfterValidator(_checked_numbers),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^(none|{NUMBERS})$"}]}),
]
"""An option: numbers like `0-7`, or `none`."""
CountOrAuto = Annotated[
    int | Literal["auto"], BeforeValidator(_count_or_auto), WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]})
]
"""An option: a number of at least 1, or `auto`."""
