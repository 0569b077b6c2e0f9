"""What a budget of seconds makes of every model, as a table and as the comment of the suite at equal seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from latentbench.reporting.text import plain, table
from latentbench.tuning.pace import Paced

HEADER = ("model", "runs", "steps", "seconds", "ms a step", "steps now")


def budget_table(paced: Sequence[Paced]) -> str:
    """A line for every model: its stored runs, the steps and seconds of one, the pace, and the steps that the budget gives it."""
    return table([_row(one) for one in paced], HEADER)


def about_paced(paced: Sequence[Paced], seconds: float) -> Iterator[str]:
    """Lines of the comment of a suite at equal seconds: the device that the pace is of, and the table."""
    yield f"Every model trains for {seconds:g} s, at the pace of its stored runs (median over these) on {plain(paced[0].pace.device)}."
    yield from budget_table(paced).splitlines()


def _row(one: Paced) -> tuple[object, ...]:
    pace = one.pace
    return str(one.model), pace.runs, pace.steps, f"{pace.seconds:.3g}", f"{1000 * pace.seconds_a_step:.3g}", one.steps
