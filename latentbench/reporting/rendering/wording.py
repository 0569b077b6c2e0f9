"""The words around a leaderboard: its title, what is constant, the symbols that occur, footnotes, notes, and details of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from latentbench.measure import Measure
from latentbench.reporting.comparison import Column, Comparison
from latentbench.reporting.rendering.cells import NOTHING, Shown, difference, usual_n
from latentbench.reporting.rendering.grid import NO_VALUE, Grid, row_labels

MAX_NAMED = 5
"""Rows that a note names."""
WITHOUT = {
    "failed": "the run failed",
    "missing": "there is no run of a seed that other rows have",
    "NaN": "the value is not a number",
    "infinite": "the value is infinite",
}
"""Why a seed has no value, by the word that a cell says it with."""


def titles(comparison: Comparison) -> list[str]:
    """What is shown, on which split, what it means, in which unit, and which direction is better; a line for each of several metrics."""
    columns = {column.metric: column for column in comparison.columns}
    said = {metric: _meaning(comparison, column) for metric, column in columns.items()}
    split = f"on {comparison.split}" if comparison.split else ""
    if len(columns) == 1:
        metric = next(iter(columns))
        return [f"{metric} {split}".rstrip() + (f": {said[metric]}" if said[metric] else "")]
    lines = [f"{metric}: {meaning}" for metric, meaning in said.items() if meaning]
    return [f"{', '.join(columns) or 'no metric'} {split}".rstrip(), *lines]


def constants(grid: Grid) -> list[str]:
    """One line with the settings that all rows and columns share; none if they share none."""
    shared = ", ".join(f"{name} {value or NO_VALUE}" for name, value in grid.constant.items())
    return [f"all: {shared}"] if shared else []


def short_names(short: Mapping[str, str]) -> list[str]:
    """One line that says what short names of settings stand for; none if there are none."""
    return [", ".join(f"{name}: {full}" for name, full in short.items())] if short else []


def legend(comparison: Comparison, grid: Grid, best: str, ranks: bool = True) -> list[str]:
    """What the symbols mean that occur. `best` is the mark of the starred cells, as in `*`; without `ranks` the format shows none."""
    cells, along = grid.shown, "row" if grid.transposed else "column"
    lines = [*_comparisons(cells, along, best, ranks), *_values(comparison, cells), *_differences(comparison, grid)]
    if grid.ranks is not None:
        lines.append("mean rank: over all columns of the leaderboard")
    return lines


def notes(comparison: Comparison) -> list[str]:
    """Footnotes with their marks, what the table leaves out, and its notes."""
    footnotes = [f"[{mark}] {text}" for mark, text in comparison.footnotes.items()]
    hidden = ", ".join(f"{count} {what}" for what, count in comparison.hidden.items() if count)
    return [*footnotes, *([f"not shown: {hidden}"] if hidden else []), *comparison.notes]


def more_seeds(comparison: Comparison) -> list[str]:
    """One line that says how many more seeds would tell rows apart, for a leaderboard of one column."""
    if len(comparison.columns) != 1:
        return []
    wanted = [
        f"{label} ~{row[0].contrast.more_seeds:,}"
        for label, row in zip(row_labels(comparison), comparison.cells, strict=True)
        if row[0] is not None and row[0].contrast is not None and row[0].contrast.more_seeds is not None
    ]
    if not wanted:
        return []
    others = f" and {len(wanted) - MAX_NAMED} others" if len(wanted) > MAX_NAMED else ""
    return [f"more seeds that would tell rows from {_other(comparison, 0)} (approximate): {', '.join(wanted[:MAX_NAMED])}{others}"]


def details(comparison: Comparison) -> list[str]:
    """For every column a list of its contrasts, with how many more seeds would tell the two rows apart."""
    lines = []
    for j, column in enumerate(comparison.columns):
        found = []
        for label, row in zip(row_labels(comparison), comparison.cells, strict=True):
            cell = row[j]
            if cell is not None and cell.contrast is not None:
                seeds = cell.contrast.more_seeds
                more = "" if seeds is None else f"; tell apart: ~{seeds:,} more seeds (approximate)"
                found.append(f"  {label}: {difference(cell.contrast, cell.n)}{more}")
        if found:
            named = ", ".join(f"{name} {value or NO_VALUE}" for name, value in zip(comparison.column_names, column.key, strict=True))
            lines += [f"{column.metric}{f' ({named})' if named else ''}, row - {_other(comparison, j)}:", *found]
    return lines


def _baseline(comparison: Comparison) -> str:
    """The baseline's name; as a whole where it is no row of the table."""
    key = comparison.baseline or ()
    names = dict(zip(map(tuple, comparison.rows), row_labels(comparison), strict=True))
    return names.get(tuple(key)) or " ".join(value for value in key if value)


def _measure(comparison: Comparison, metric: str) -> Measure | None:
    """The declaration of a metric, whose name in the column may have an index, as in `knn_accuracy at 200`."""
    return comparison.measures.get(metric) or comparison.measures.get(metric.rpartition(" at ")[0])


def _meaning(comparison: Comparison, column: Column) -> str:
    measure = _measure(comparison, column.metric)
    direction = f"{column.better} is better" if column.better else ""
    if measure is None:
        return direction
    return f"{measure.meaning.rstrip('.')} ({', '.join(text for text in (measure.unit, direction) if text)})"


def _other(comparison: Comparison, column: int) -> str:
    """What the contrasts of a column are against: the baseline, or the column's best row."""
    if comparison.baseline is not None:
        return _baseline(comparison)
    better = comparison.columns[column].better
    cells = zip(row_labels(comparison), (row[column] for row in comparison.cells), strict=True)
    means = [(cell.mean, label) for label, cell in cells if cell is not None and cell.contrast is None and (cell.n or 0) > 1]
    if better is None or not means:
        return "the best"
    return f"the best, {(min if better == 'lower' else max)(means)[1]}"


def _comparisons(cells: Sequence[Shown], along: str, best: str, ranks: bool) -> list[str]:
    lines = []
    if any(cell.star for cell in cells):
        lines.append(f"{best}: not significantly worse than the best of its {along}")
    if any(cell.letters for cell in cells):
        letters = sorted(set("".join(cell.letters for cell in cells)))
        named = ", ".join(letters) if len(letters) < 3 else f"{letters[0]}-{letters[-1]}"
        lines.append(f"{named}: values of a {along} that share a letter cannot be told apart")
    if ranks and any(cell.rank for cell in cells):
        lines.append(f"rank: the ranks in its {along} that the tests leave open")
    return lines


def _values(comparison: Comparison, cells: Sequence[Shown]) -> list[str]:
    numbers = [cell.number for cell in cells if cell.number is not None]
    usual = usual_n(comparison)
    signs = [
        sign
        for sign, found in (("±", any(n.half for n in numbers)), ("[low, high]", any(n.bounds for n in numbers)))
        if found and comparison.interval
    ]
    lines = [f"{' and '.join(signs)}: {comparison.interval}"] if signs else []
    remarks = [remark for cell in cells for remark in cell.remarks]
    if usual is not None:
        elsewhere = any(remark.startswith("n = ") for remark in remarks)
        published = any(cell is not None and cell.n is None for row in comparison.cells for cell in row)
        but = f"{' where none is given' if elsewhere else ''}{', summaries aside' if published else ''}"
        lines.append(f"n = {usual} {'seed' if usual == 1 else 'seeds'}{but}")
    for sign, word in ((">", "larger"), ("<", "smaller")):
        if any(n.relation == sign for n in numbers):
            lines.append(f"{sign}: {word} than the value, by how much is not known")
    if any(cell.number is None for cell in cells):
        lines.append(f"{NOTHING}: no seed has a value")
    return [*lines, *(f"{why}: {meaning}" for why, meaning in WITHOUT.items() if any(remark.endswith(f" {why}") for remark in remarks))]


def _differences(comparison: Comparison, grid: Grid) -> list[str]:
    if comparison.baseline is None or not any(cell.difference for cell in grid.shown):
        return []
    remarks = [remark for cell in grid.shown if cell.difference for remark in cell.difference.remarks]
    lines = [f"difference: {'column' if grid.transposed else 'row'} - {_baseline(comparison)}"]
    if any(remark.startswith("p ") for remark in remarks):
        lines.append("p: of no difference, adjusted" if _adjusted(comparison) else "p: of no difference")
    if any(remark.startswith("r ") for remark in remarks):
        lines.append("r: correlation of the paired values")
    return lines


def _adjusted(comparison: Comparison) -> bool:
    return any(cell.contrast.adjusted is not None for row in comparison.cells for cell in row if cell is not None and cell.contrast is not None)
