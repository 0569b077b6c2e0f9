"""How long a phase of training lasts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, Self, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

MAX_LENGTH = 10**12
"""Steps or epochs of a run; a number above it is a slip."""
TEXT = re.compile(r"\s*([0-9.eE+-]+)\s*(epoch|step)s?\s*")
EXPECTED = "a duration is a share of the run (0.5), or a text like '5 epochs' or '200 steps'"


@dataclass(frozen=True)
class Phase:
    """A share of the run in [0, 1], or a number of epochs or steps; a setting of pydantic models, which is written as `0.5` or `5 epochs`."""

    amount: float
    unit: Literal["run", "epochs", "steps"] = "run"

    @classmethod
    def parse(cls, value: Any) -> Self:
        """A phase as suites have it: a number, or a text like `5 epochs` or `200 steps`, whose amount has six digits.

        Raises:
            ValueError: the value is something else; the message says what is allowed.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, bool):
            raise ValueError("expected a number; true and false are none")
        if isinstance(value, str):
            return cls._of_text(value)
        if not isinstance(value, (int, float)):
            raise ValueError(EXPECTED)
        if not 0 <= value <= 1:
            raise ValueError("a duration given as a number is a share of the run, so between 0 and 1; write '5 epochs' or '200 steps' for others")
        return cls(float(value))

    @classmethod
    def _of_text(cls, text: str) -> Self:
        match = TEXT.fullmatch(text)
        try:
            amount = float(f"{float(match[1]):g}") if match else -1.0
        except ValueError:
            amount = -1.0
        if match is None or not 0 <= amount <= MAX_LENGTH:
            raise ValueError(EXPECTED)
        return cls(amount, cast("Literal['epochs', 'steps']", f"{match[2]}s"))

    @property
    def written(self) -> float | str:
        """The phase as suites and descriptions of runs have it."""
        return self.amount if self.unit == "run" else f"{self.amount:g} {self.unit}"

    def __str__(self) -> str:
        return str(self.written)

    def in_steps(self, steps: int, steps_per_epoch: int) -> float:
        """The phase in steps of a run of `steps`, not rounded."""
        return self.amount * {"run": steps, "epochs": steps_per_epoch, "steps": 1}[self.unit]

    def scaled(self, factor: float) -> Self:
        """The phase of a run that is `factor` times as long."""
        return self if self.unit == "run" else type(self)(self.amount * factor, self.unit)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(lambda phase: phase.written)
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        return {"anyOf": [share, {"type": "string", "pattern": r"^\s*[0-9.eE+-]+\s*(epoch|step)s?\s*$"}]}
