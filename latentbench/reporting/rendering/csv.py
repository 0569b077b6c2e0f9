"""A leaderboard as CSV: a line for every cell that has runs."""

from __future__ import annotations

from typing import Any

from latentbench.reporting.comparison import Comparison
from latentbench.reporting.rendering.escaping import spreadsheet


def csv(comparison: Comparison) -> str:
    """The columns of `Comparison.frame`, numbers unrounded. A text that a spreadsheet would execute has an apostrophe before it."""
    frame = comparison.frame().rename(columns=spreadsheet)
    return frame.map(_harmless).to_csv(index=False, lineterminator="\n").removesuffix("\n")


def _harmless(value: Any) -> Any:
    return spreadsheet(value) if isinstance(value, str) else value
