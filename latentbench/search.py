"""What a search may try of a setting: numbers of a range, or choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_validator, model_validator

from latentbench.errors import first_problem
from latentbench.numbers import same

DIGITS = 4
"""Significant digits of a number that is tried: a search cannot tell more apart, and people read them."""


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("expected a number")
    return value


def _flag(value: object) -> object:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _scalar(value: object) -> object:
    if not isinstance(value, (bool, int, float, str)):
        raise ValueError("expected a number, a text, or true or false")
    return value


Number = Annotated[int | float, BeforeValidator(_number)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Scalar = Annotated[bool | int | float | str, BeforeValidator(_scalar)]


class Range(BaseModel):
    """Numbers from `low` to `high`, both included: whole ones where both bounds are (`1`, and not `1.0`).

    They are tried evenly, or with `log` evenly in their logarithm.

    Raises:
        ValueError: `low` is not below `high`, or with `log` not above 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: Number
    high: Number
    log: Flag = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 where log is true")
        return self

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def examples(self) -> tuple[int | float, ...]:
        """Its bounds, and a number between them that is whole only if all are."""
        return (self.low, self.high) if self.whole else (self.low, self.high, self.low + 0.382 * (self.high - self.low))

    def member(self, value: object) -> int | float | None:
        """A value as a number of this range; None where it is none."""
        number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        inside = number is not None and self.low <= number <= self.high and (not self.whole or number == int(number))
        return number if inside else None

    def rounded(self, value: float) -> float:
        """A number to `DIGITS` significant digits, within the bounds."""
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


class Choices(BaseModel):
    """Two or more values.

    Raises:
        ValueError: there are fewer, or two are the same.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    choices: tuple[Scalar, ...]

    @field_validator("choices")
    @classmethod
    def _distinct(cls, choices: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(choices) < 2:
            raise ValueError("expected two values or more")
        for place, one in enumerate(choices):
            if any(same(one, other) for other in choices[:place]):
                raise ValueError(f"{one} is given twice")
        return choices

    @property
    def examples(self) -> tuple[Any, ...]:
        """All of them."""
        return self.choices

    def member(self, value: object) -> Any:
        """The choice that a value is; None where it is none."""
        return next((choice for choice in self.choices if same(choice, value)), None)


Space = Mapping[str, Range | Choices]
"""Dotted settings, and what may be tried of each."""


def parse_searched(value: object) -> Range | Choices:
    """What may be tried, as suites have it: `{low: 1, high: 5}`, with `log: true` or without, or `{choices: [1, 2, 5]}`.

    Raises:
        ValueError: it is something else; the message says what is allowed.
    """
    if not isinstance(value, Mapping) or not {"low", "high", "choices"} & value.keys():
        raise ValueError("expected {low: ..., high: ...} or {choices: [...]}")
    model: type[Range | Choices] = Choices if "choices" in value else Range
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        raise ValueError(str(first_problem(error, model, value).error())) from error


def space_problem(space: object) -> str | None:
    """What is wrong with the `search` of a part, as a clause that follows its name; None where nothing is."""
    if isinstance(space, Mapping) and all(isinstance(key, str) and isinstance(one, (Range, Choices)) for key, one in space.items()):
        return None
    return f"has search = {space!r}; it must be a mapping from dotted settings to Range(low=, high=) or Choices(choices=)"
