"""Types of fields of suite files: names, seeds, shares, evaluations, published tables."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from latentbench.numbers import NUMBERS, check_distinct, parse_numbers
from latentbench.suites.settings import MAX_SEED

N = TypeVar("N", int, float)
MAX_NAME = 100


def _check_name(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"a name is 1 to {MAX_NAME} printable characters")
    return name


def _seeds(value: Any) -> Any:
    """Seeds as a list; a text like `1-5` is one too, and so is a single number."""
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return parse_numbers(str(value))
    return value


def _distinct(numbers: list[N]) -> list[N]:
    check_distinct(numbers)
    return numbers


def _asked(value: Any) -> dict[str, dict[str, Any]]:
    """An evaluation as `{name: options}`."""
    entry = {value: {}} if isinstance(value, str) else value
    if not isinstance(entry, dict) or not entry or not all(isinstance(options, dict) for options in entry.values()):
        raise ValueError("an evaluation is a name, or `name: {options}`")
    return entry


def _tables(value: Any) -> list[str]:
    tables = value if isinstance(value, list) else [value]
    if not all(isinstance(table, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", table) for table in tables):
        raise ValueError("expected a folder and a table, as in published/table5, or a list of them")
    return tables


_TABLE = {"type": "string", "pattern": r"^[\w.-]+/[\w.-]+$"}
_SEED = {"type": "integer", "minimum": 0, "exclusiveMaximum": MAX_SEED}
Name = Annotated[str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_NAME})]
Seeds = Annotated[
    list[Annotated[int, Field(ge=0, lt=MAX_SEED)]],
    BeforeValidator(_seeds),
    AfterValidator(_distinct),
    WithJsonSchema(
        {"anyOf": [{"type": "array", "items": _SEED, "minItems": 1, "uniqueItems": True}, _SEED, {"type": "string", "pattern": f"^{NUMBERS}$"}]}
    ),
]
Shares = Annotated[
    list[Annotated[float, Field(ge=0, le=1)]],
    AfterValidator(_distinct),
    WithJsonSchema({"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "uniqueItems": True}),
]
Tables = Annotated[list[str], BeforeValidator(_tables), WithJsonSchema({"anyOf": [_TABLE, {"type": "array", "items": _TABLE}]})]
Asked = Annotated[dict[str, dict[str, Any]], BeforeValidator(_asked)]
"""An evaluation: its name, or its name with its options."""
