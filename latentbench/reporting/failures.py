"""Why runs failed, those alike together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from latentbench.errors import shortened
from latentbench.failure import Failure
from latentbench.reporting.text import plain

MAX_RUNS_SHOWN = 3
"""How many runs of a group are named; the others are counted."""
MAX_MESSAGE = 300
"""Characters of a message that are shown; `latentbench show` has it whole."""
VARIABLE = re.compile(r"(?<![A-Za-z_])[-+]?\d+(\.\d+)?([eE][-+]?\d+)?(?![A-Za-z_])")
"""Numbers in messages, in which those of one cause differ."""


@dataclass(frozen=True)
class FailureGroup:
    """Runs that failed for one cause: its kind, a message in one line in which numbers that differ are `#`, and their ids."""

    kind: str
    message: str
    runs: Sequence[str]


def grouped(failures: Iterable[tuple[str, Failure]]) -> list[FailureGroup]:
    """Failures by run id as groups, the largest first."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for run_id, failure in failures:
        groups.setdefault((str(failure.kind), VARIABLE.sub("#", failure.message)), {})[run_id] = failure.message
    found = [FailureGroup(kind, _common(alike, said), sorted(said)) for (kind, alike), said in groups.items()]
    return sorted(found, key=lambda group: (-len(group.runs), group.kind, group.message))


def failures_text(groups: Sequence[FailureGroup]) -> list[str]:
    """For every group its count, kind and message, and below that the first of its runs."""
    lines = []
    for group in groups:
        rest = len(group.runs) - MAX_RUNS_SHOWN
        named = ", ".join(group.runs[:MAX_RUNS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
        message = str(Failure(group.kind, group.message))
        lines += [f"{len(group.runs)} failed: {plain(shortened(message, MAX_MESSAGE))}", f"    {plain(named)}"]
    return lines


def _common(alike: str, said: Mapping[str, str]) -> str:
    """The message of all, if they say the same to the digit."""
    (first, *others) = set(said.values())
    return alike if others else first
