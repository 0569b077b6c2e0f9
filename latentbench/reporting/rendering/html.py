"""A leaderboard as a fragment of HTML: a table with a caption, and a list of what its symbols mean."""

from __future__ import annotations

from collections.abc import Sequence

from latentbench.reporting.comparison import Comparison
from latentbench.reporting.rendering import wording
from latentbench.reporting.rendering.cells import Shown
from latentbench.reporting.rendering.escaping import html as escaped
from latentbench.reporting.rendering.grid import Grid, grid, spans


def html(comparison: Comparison, details: bool = False) -> str:
    """A `section` of class `leaderboard`, without style or script.

    Cells of values are of class `value`, starred ones also `best`, and have the number itself as `data-value`; within them tie letters are of class
    `letters`, remarks of class `remark`, marks of footnotes are `sup`. Cells of class `rank`, `difference` and `mean-rank` follow.
    """
    shown = grid(comparison)
    lines = [*wording.legend(comparison, shown, "bold"), *wording.notes(comparison), *([] if details else wording.more_seeds(comparison))]
    caption = "<br>".join(escaped(line) for line in [*wording.titles(comparison), *wording.constants(shown)])
    return "\n".join(
        [
            '<section class="leaderboard">',
            f"<table>\n<caption>{caption}</caption>",
            "<thead>",
            *_head(shown),
            "</thead>\n<tbody>",
            *(_row(shown, i) for i in range(len(shown.rows))),
            "</tbody>\n</table>",
            *_list("notes", lines),
            *_list("details", wording.details(comparison) if details else []),
            "</section>",
        ]
    )


def _head(shown: Grid) -> list[str]:
    """A row for each level of column names, and one with the headings of rows and columns."""
    heads = [_headings(shown, j) for j in range(len(shown.columns))]
    last = ["mean rank"] if shown.ranks is not None else []
    paths = [*(key for key, head in zip(shown.columns, heads, strict=True) for _ in head), *[("",) * len(shown.column_names)] * len(last)]
    rows = []
    for k, name in enumerate(shown.column_names):
        labels = [
            f'<th scope="colgroup" colspan="{count}">{escaped(label)}</th>' if label else f'<td colspan="{count}"></td>'
            for label, count in spans(paths, k)
        ]
        left = f'<th scope="row" colspan="{len(shown.row_names)}">{escaped(name)}</th>' if shown.row_names else ""
        rows.append(f"<tr>{left}{''.join(labels)}</tr>")
    headings = [*shown.row_names, *(text for head in heads for text in head), *last]
    columns = "".join(f'<th scope="col">{escaped(text)}</th>' for text in headings)
    return [*rows, f"<tr>{columns}</tr>"]


def _headings(shown: Grid, column: int) -> list[str]:
    ranks, differences = shown.ranks_of(column), shown.differences_of(column)
    return [shown.heads[column], *(["rank"] if ranks else []), *(["difference"] if differences else [])]


def _row(shown: Grid, row: int) -> str:
    cells = [f'<th scope="row">{escaped(text)}</th>' for text in shown.rows[row]]
    for j in range(len(shown.columns)):
        cells.append(_cell(shown.cells[row][j]))
        for kind, texts in (("rank", shown.ranks_of(j)), ("difference", shown.differences_of(j))):
            if texts is not None:
                cells.append(f'<td class="{kind}">{escaped(str(texts[row]))}</td>')
    if shown.ranks is not None:
        cells.append(f'<td class="mean-rank">{escaped(shown.ranks[row])}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _cell(cell: Shown | None) -> str:
    if cell is None:
        return '<td class="value"></td>'
    value = f"<strong>{escaped(cell.value)}</strong>" if cell.star else escaped(cell.value)
    parts = [
        value,
        f'<span class="letters">{escaped(cell.letters)}</span>' if cell.letters else "",
        f'<span class="remark">{escaped(cell.remark)}</span>' if cell.remark else "",
        f"<sup>{escaped(','.join(cell.marks))}</sup>" if cell.marks else "",
    ]
    number = "" if cell.mean is None else f' data-value="{cell.mean!r}"'
    return f'<td class="value{" best" if cell.star else ""}"{number}>{" ".join(part for part in parts if part)}</td>'


def _list(kind: str, lines: Sequence[str]) -> list[str]:
    return [f'<ul class="{kind}">', *(f"<li>{escaped(line.strip())}</li>" for line in lines), "</ul>"] if lines else []
