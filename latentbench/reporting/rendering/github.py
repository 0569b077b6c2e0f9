"""A leaderboard as GitHub's Markdown: title, a table, and a list of what its symbols mean."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from latentbench.reporting.comparison import Comparison
from latentbench.reporting.rendering import wording
from latentbench.reporting.rendering.cells import Shown
from latentbench.reporting.rendering.escaping import github as escaped
from latentbench.reporting.rendering.grid import Grid, grid


def github(comparison: Comparison, details: bool = False) -> str:
    """Markdown. Starred values are bold; the levels of a column's name are joined by slashes."""
    shown = grid(comparison)
    head = [*map(escaped, shown.row_names)]
    columns = [[escaped(row[k]) for row in shown.rows] for k in range(len(head))]
    for j in range(len(shown.columns)):
        for title, texts in _columns(shown, j):
            head.append(title)
            columns.append(texts)
    if shown.ranks is not None:
        head.append("mean rank")
        columns.append(list(shown.ranks))
    lines = [*wording.legend(comparison, shown, "bold"), *wording.notes(comparison), *([] if details else wording.more_seeds(comparison))]
    blocks = [
        [f"{escaped(line)}  " for line in wording.titles(comparison)],  # two blanks: a new line
        [escaped(line) for line in wording.constants(shown)],
        _table(head, columns, len(shown.row_names)),
        [f"- {escaped(line)}" for line in lines],
        _list(wording.details(comparison)) if details else [],
    ]
    return "\n\n".join("\n".join(block).rstrip() for block in blocks if block)


def _columns(shown: Grid, column: int) -> list[tuple[str, list[str]]]:
    """A column's values, and its ranks and differences where there are some, each with a heading."""
    several = len(set(shown.heads)) > 1
    parts = [*shown.columns[column], *([shown.heads[column]] if several or not shown.columns[column] else [])]
    found = [(escaped(" / ".join(parts)), ["" if cell is None else _cell(cell) for cell in shown.column(column)])]
    if (ranks := shown.ranks_of(column)) is not None:
        found.append(("rank", ranks))
    if (differences := shown.differences_of(column)) is not None:
        found.append(("difference", [escaped(str(text)) for text in differences]))
    return found


def _cell(cell: Shown) -> str:
    value = escaped(cell.value)
    marks = f"[{','.join(cell.marks)}]" if cell.marks else ""
    return " ".join(text for text in (f"**{value}**" if cell.star else value, escaped(cell.letters), escaped(cell.remark), escaped(marks)) if text)


def _table(head: Sequence[str], columns: Sequence[Sequence[str]], names: int) -> list[str]:
    """Rows between pipes, padded to be read as text too; names to the left, numbers to the right."""
    widths = [max(3, *map(cell_len, (title, *texts))) for title, texts in zip(head, columns, strict=True)]
    rule = ["-" * width if k < names else f"{'-' * (width - 1)}:" for k, width in enumerate(widths)]
    rows = [head, rule, *([texts[i] for texts in columns] for i in range(len(columns[0]) if columns else 0))]
    return ["| " + " | ".join(_padded(text, widths[k], k < names) for k, text in enumerate(row)) + " |" for row in rows] if head else []


def _padded(text: str, width: int, left: bool) -> str:
    blank = " " * (width - cell_len(text))
    return f"{text}{blank}" if left else f"{blank}{text}"


def _list(lines: Sequence[str]) -> list[str]:
    """Details as a list of lists."""
    return [f"  - {escaped(line.strip())}" if line.startswith(" ") else f"- {escaped(line)}" for line in lines]
