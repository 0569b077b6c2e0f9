"""A leaderboard as text: a table in one of tabulate's formats, or CSV."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from latentbench.errors import UserError, nearest
from latentbench.reporting.leaderboard import Comparison
from latentbench.reporting.statistics import Cell

BARE = frozenset({"latex", "latex_booktabs", "latex_raw", "latex_longtable", "html", "unsafehtml", "tsv"})
"""Formats that other documents include: the table alone, without title and notes."""


def render(comparison: Comparison, style: str = "simple") -> str:
    """The table as text, in one of tabulate's formats, or `csv`.

    Raises:
        UserError: there is no such format.
    """
    from tabulate import tabulate, tabulate_formats

    if style == "csv":
        return _csv(comparison)
    if style not in tabulate_formats:
        raise UserError(f"unknown format '{style}'{nearest(style, tabulate_formats)}; known: csv, {', '.join(tabulate_formats)}")
    query = comparison.query
    header = [*query.rows, *(" ".join(column) or query.title for column in comparison.columns)]
    body = [
        [*row, *(_marked(cell, (i, j) in comparison.best) for j, cell in enumerate(cells))]
        for i, (row, cells) in enumerate(zip(comparison.rows, comparison.cells, strict=True))
    ]
    table = tabulate(body, header, tablefmt=style, disable_numparse=True)
    if style in BARE:
        return table
    legend = f", {comparison.better} is better, * best of its column" if comparison.better else ""
    return f"{query.title} on {query.split}{legend}\n\n{table}\n\n{'; '.join(comparison.notes)}"


def cell_text(cell: Cell) -> str:
    """`41.61 ± 0.12 (1 failed)`, with as many decimals as the interval bears; a published number with those that it was printed with."""
    if cell.empty:
        return f"- ({cell.missing} failed)"
    digits = max(map(_printed_decimals, (cell.mean, cell.interval or 0.0))) if cell.n is None else _decimals(cell.mean, cell.interval)
    interval = "" if cell.interval is None else f" ± {cell.interval:.{digits}f}"
    failed = f" ({cell.missing} failed)" if cell.missing else ""
    return f"{cell.mean:.{digits}f}{interval}{failed}"


def _marked(cell: Cell | None, best: bool) -> str:
    return "" if cell is None else f"{'* ' if best else ''}{cell_text(cell)}"


def _decimals(mean: float, interval: float | None) -> int:
    """Decimals that show two digits of the interval below 1, or four of the mean."""
    if interval is not None and interval > 0:
        return int(np.clip(1 - np.floor(np.log10(interval)), 1, 4))
    return int(np.clip(3 - np.floor(np.log10(abs(mean))), 1, 4)) if mean and np.isfinite(mean) else 1


def _printed_decimals(value: float) -> int:
    """Decimals that a published number was printed with."""
    return len(f"{value:.10f}".rstrip("0").partition(".")[2]) or 1


def _csv(comparison: Comparison) -> str:
    """Long form: one line a cell, numbers unrounded."""
    query = comparison.query
    records = [
        {**dict(zip(query.rows, row, strict=True)), **dict(zip(query.columns, column, strict=True)), "metric": query.title, **asdict(cell)}
        for row, cells in zip(comparison.rows, comparison.cells, strict=True)
        for column, cell in zip(comparison.columns, cells, strict=True)
        if cell is not None
    ]
    return pd.DataFrame(records).to_csv(index=False).rstrip("\n")
