"""A leaderboard as text in a named format."""

from __future__ import annotations

from latentbench.errors import UserError, unknown
from latentbench.reporting.comparison import Comparison

STYLES = ("terminal", "github", "latex", "csv", "json", "html")
"""The formats: aligned text, GitHub's Markdown, LaTeX with booktabs, and for programs CSV (a line for every cell), JSON, and an HTML fragment."""


def render(comparison: Comparison, style: str = "terminal", width: int | None = None, details: bool = False, colour: bool | None = False) -> str:
    """The leaderboard as text, without a line's end.

    Args:
        comparison: the leaderboard, as `compare` returns it.
        style: one of `STYLES`.
        width: columns of the terminal, for `terminal`; by default those that it has. Piped output has no limit unless `COLUMNS` names one: one table,
            a line a row.
        details: whether the notes of `terminal`, `github` and `html` list the contrasts of every column; `csv` and `json` always have them.
        colour: whether `terminal` writes codes for bold and dim text; None where standard output is a terminal that has them.

    Raises:
        UserError: there is no such format.
    """
    if style == "terminal":
        from latentbench.reporting.rendering.terminal import colourful, terminal

        return terminal(comparison, width, details, colourful() if colour is None else colour)
    if style == "github":
        from latentbench.reporting.rendering.github import github

        return github(comparison, details)
    if style == "latex":
        from latentbench.reporting.rendering.latex import latex

        return latex(comparison)
    if style == "csv":
        from latentbench.reporting.rendering.csv import csv

        return csv(comparison)
    if style == "json":
        from latentbench.reporting.rendering.json import json

        return json(comparison)
    if style == "html":
        from latentbench.reporting.rendering.html import html

        return html(comparison, details)
    raise UserError(unknown("format", style, STYLES))
