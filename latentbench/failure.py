"""Why a run failed: one value from the exception to the row and to what is printed."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from latentbench.errors import MissingPluginError, NonFiniteError, UserError

OURS = re.compile(r"^latentbench\.[\w.]+: ")
"""The class of an error of ours in the last line of a traceback; its message says all."""


class FailureKind(StrEnum):
    """What a failed run's row may say of why. With `evaluation` the run was trained, and its status is `done`."""

    ERROR = "error"
    NON_FINITE = "non-finite"
    OUT_OF_MEMORY = "out-of-memory"
    TIMEOUT = "timeout"
    KILLED = "killed"
    MISSING_PLUGIN = "missing plugin"
    EVALUATION = "evaluation"


@dataclass(frozen=True)
class Failure:
    """Why a run failed: the kind, a message in one line, and the end of the traceback, where there is one."""

    kind: str
    message: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an exception is."""
        return cls._read(_kind(error), traceback_of(error))

    @classmethod
    def of_evaluations(cls, errors: Mapping[str, Exception]) -> Failure:
        """The failure of evaluations, by name: the tracebacks of foreign errors, then a line with every reason and the evaluations that have it."""
        tracebacks, reasons = [], dict[str, list[str]]()
        for name, error in errors.items():
            ours = isinstance(error, (UserError, NonFiniteError))
            tracebacks += [] if ours else [f"{name}: {traceback_of(error)}"]
            reasons.setdefault(" ".join((str(error) if ours else f"{type(error).__name__}: {error}").split()), []).append(name)
        line = "; ".join(f"evaluation {', '.join(names)}: {reason}" for reason, names in reasons.items())
        return cls._read(FailureKind.EVALUATION, "\n".join([*tracebacks, line]))

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Failure | None:
        """The failure that a row of `runs` tells of, or None."""
        return None if row["failure_kind"] is None else cls._read(row["failure_kind"], row["failure_message"] or "")

    @classmethod
    def _read(cls, kind: str, text: str) -> Failure:
        last = (text.strip().splitlines() or [""])[-1]
        return cls(kind, OURS.sub("", last), "" if text == last else text)

    def to_row(self) -> dict[str, Any]:
        """The columns of `runs` that `from_row` reads."""
        return {"failure_kind": str(self.kind), "failure_message": self.traceback or self.message}

    def of_a_trained_run(self) -> Failure:
        """The same where the run is trained already, so that only its evaluation failed."""
        return self._read(FailureKind.EVALUATION, f"{self.kind}: {self.traceback or self.message}")

    def __str__(self) -> str:
        """In one line: kind and message."""
        return self.message if self.message.startswith(f"{self.kind} ") else f"{self.kind}: {self.message}"


NO_FAILURE = dict.fromkeys(("failure_kind", "failure_message"))
"""The columns of a run that has not failed."""


def traceback_of(error: BaseException) -> str:
    """The end of an exception's traceback."""
    return "".join(traceback.format_exception(error)[-4:])


def _kind(error: BaseException) -> FailureKind:
    if isinstance(error, NonFiniteError):
        return FailureKind.NON_FINITE
    if isinstance(error, MissingPluginError):
        return FailureKind.MISSING_PLUGIN
    # torch's own, OutOfMemoryError, is only told by name, as this module does not import torch; of the CPU's memory torch has no type for it.
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and (type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error))
    ):
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.ERROR
