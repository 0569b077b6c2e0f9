"""Leaderboards as tables of a page."""

from __future__ import annotations

from latentbench.reporting.comparison import Comparison
from latentbench.reporting.rendering import wording
from latentbench.reporting.rendering.cells import Shown
from latentbench.reporting.rendering.grid import Grid, grid
from latentbench.reporting.report.page import Entry, Head, Table

MAX_KEYS = 4
"""Settings that name rows in columns of their own; the last column has the rest where there are more."""


def leaderboard(comparison: Comparison, about: str = "") -> Table:
    """A leaderboard: behind each column of values its ranks and its differences from the baseline, where there are some."""
    shown = grid(comparison)
    heads, columns = _names(shown)
    keys = len(heads)
    for j, key in enumerate(shown.columns):
        named = " ".join([*([shown.heads[j]] if len(set(shown.heads)) > 1 or not any(key) else []), *filter(None, key)])
        heads.append(Head(named, True))
        columns.append([_value(cell) for cell in shown.column(j)])
        for word, texts in (("rank", shown.ranks_of(j)), ("difference", shown.differences_of(j))):
            if texts is not None:
                heads.append(Head(f"{word}, {named}", True))
                columns.append([Entry(str(text), _first_number(str(text))) for text in texts])
    if shown.ranks is not None:
        heads.append(Head("mean rank", True))
        columns.append([Entry(rank, float(rank)) for rank in shown.ranks])
    caption = "; ".join([*wording.titles(comparison), *filter(None, [about]), *wording.constants(shown)])
    notes = [*wording.legend(comparison, shown, "marked"), *wording.notes(comparison), *wording.more_seeds(comparison)]
    return Table(caption, heads, list(zip(*columns, strict=True)), keys, notes)


def _names(shown: Grid) -> tuple[list[Head], list[list[Entry]]]:
    """The columns that name rows."""
    names, rows = shown.row_names, shown.rows
    alone = len(names) if len(names) <= MAX_KEYS else MAX_KEYS - 1
    columns = [[Entry(row[i], _number(row[i])) for row in rows] for i in range(alone)]
    if alone == len(names):
        return [*map(Head, names)], columns
    rest = [" ".join(f"{name}={row[alone + i]}" for i, name in enumerate(names[alone:]) if row[alone + i] != "-") for row in rows]
    return [*map(Head, names[:alone]), Head("other settings")], [*columns, [Entry(text or "-") for text in rest]]


def _value(cell: Shown | None) -> Entry:
    if cell is None:
        return Entry("")
    marks = f" [{','.join(cell.marks)}]" if cell.marks else ""
    return Entry(" ".join(filter(None, [cell.value, cell.letters, cell.remark])) + marks, cell.mean, cell.star)


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _first_number(text: str) -> float | None:
    """The number that a text begins with: the first rank of an interval of ranks, the difference of one with its interval."""
    word = text.partition(" ")[0]
    return _number(word) if text[:1] in "+-" else _number(word.partition("-")[0])
