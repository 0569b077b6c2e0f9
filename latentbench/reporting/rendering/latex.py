"""A leaderboard as a LaTeX table with booktabs, to be read by a document with `\\input`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from latentbench.reporting.comparison import Comparison
from latentbench.reporting.rendering import wording
from latentbench.reporting.rendering.cells import Difference, Shown
from latentbench.reporting.rendering.escaping import latex as escaped
from latentbench.reporting.rendering.grid import Grid, grid, spans
from latentbench.reporting.rendering.numbers import Number


def latex(comparison: Comparison) -> str:
    r"""A `tabular`, after comments with what a caption would say. It needs `\usepackage{booktabs}`.

    Starred means are bold, tie letters are superscripts, and ranks have a column where the leaderboard has one. The metric heads columns where they
    are of several, or have ranks or differences next to them.
    """
    shown = grid(comparison)
    parts = [_columns(shown, j) for j in range(len(shown.columns))]
    last = [] if shown.ranks is None else [("mean rank", list(shown.ranks))]
    columns = [*(column for part in parts for column in part), *last]
    paths = [*(key for key, part in zip(shown.columns, parts, strict=True) for _ in part), *[("",) * len(shown.column_names)] * len(last)]
    names, levels = len(shown.row_names), list(shown.column_names)
    if levels and len(set(shown.heads)) == 1 and all(len(part) == 1 for part in parts):  # as in the paper: no line repeats the metric
        columns = [*((path[-1], texts) for path, (_, texts) in zip(shown.columns, columns, strict=False)), *last]
        del levels[-1]
    body = [[*map(escaped, row), *(texts[i] for _, texts in columns)] for i, row in enumerate(shown.rows)]
    heads = [*map(escaped, shown.row_names), *(rf"\multicolumn{{1}}{{c}}{{{escaped(head)}}}" for head, _ in columns)]
    lines = [
        *_comments(comparison, shown),
        rf"\begin{{tabular}}{{{'l' * names}{'r' * len(columns) or ('' if names else 'l')}}}",
        r"\toprule",
        *(line for k, level in enumerate(levels) for line in _level(level, k, paths, names)),
        *_rows([heads] if heads else []),
        r"\midrule",
        *_rows(body if heads else []),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


def _comments(comparison: Comparison, shown: Grid) -> list[str]:
    ranks = len(shown.columns) == 1
    said = [*wording.titles(comparison), *wording.constants(shown), *wording.legend(comparison, shown, "bold", ranks), *wording.notes(comparison)]
    return [f"% {escaped(line)}" for line in said]


def _rows(rows: Sequence[Sequence[str]]) -> list[str]:
    return [" & ".join(row) + r" \\" for row in rows]


def _level(name: str, level: int, paths: Sequence[Sequence[str]], names: int) -> list[str]:
    """One level of the header, with a rule under labels that span several columns."""
    cells, rules, start = [escaped(name), *[""] * (names - 1)] if names else [], [], names + 1
    for label, count in spans([tuple(path) for path in paths], level):
        cells.append(rf"\multicolumn{{{count}}}{{c}}{{{escaped(label)}}}")
        if count > 1:
            rules.append(rf"\cmidrule(lr){{{start}-{start + count - 1}}}")
        start += count
    return [*_rows([cells]), *([" ".join(rules)] if rules else [])]


def _columns(shown: Grid, column: int) -> list[tuple[str, list[str]]]:
    """A column's values, and its ranks and differences where they are shown, each with a heading."""
    found = [(shown.heads[column], ["" if cell is None else _cell(cell) for cell in shown.column(column)])]
    ranks = shown.ranks_of(column)
    if ranks is not None and len(shown.columns) == 1:
        found.append(("rank", [rank.replace("-", "--") for rank in ranks]))
    differences = shown.differences_of(column)
    if differences is not None:
        found.append(("difference", [_difference(text) if isinstance(text, Difference) else text for text in differences]))
    return found


def _cell(cell: Shown) -> str:
    value = cell.value if cell.number is None else _number(cell.number, cell.star)
    above = cell.letters + (f"[{','.join(cell.marks)}]" if cell.marks else "")
    return value + (rf"\textsuperscript{{{escaped(above)}}}" if above else "") + (f" {escaped(cell.remark)}" if cell.remark else "")


def _difference(shown: Difference) -> str:
    remarks = [f"${remark}$" if re.match("[prn] ", remark) else escaped(remark) for remark in shown.remarks]
    return _number(shown.number, False) + (f" ({', '.join(remarks)})" if remarks else "")


def _number(number: Number, bold: bool) -> str:
    """A number in mathematics, its mean bold or not; an exponent that mean and interval share is written once."""
    mean, power = _split(number.mean)
    strong = rf"\mathbf{{{mean}}}" if bold else mean
    relation = f"{number.relation} " if number.relation else ""
    if number.bounds is not None:
        low, high = ("".join(_split(text)) for text in number.bounds)
        return f"${relation}{strong}{power}$ $[{low}, {high}]$"
    if not number.half:
        return f"${relation}{strong}{power}$"
    half, power_of_half = _split(number.half)
    if power and power == power_of_half:
        return rf"${relation}({strong} \pm {half}){power}$"
    return rf"${relation}{strong}{power} \pm {half}{power_of_half}$"


def _split(text: str) -> tuple[str, str]:
    r"""A number's digits and its power of ten, as in `3.20` and ` \times 10^{-9}`."""
    digits, _, exponent = text.partition("e")
    digits = digits.replace(",", "{,}").replace("inf", r"\infty")
    return digits, rf" \times 10^{{{exponent}}}" if exponent else ""
