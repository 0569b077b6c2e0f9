"""A leaderboard on a terminal: as many tables as its width needs, no cell wrapped or cut, so that a line is a row to `grep`."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from latentbench.reporting.comparison import Comparison, Key
from latentbench.reporting.rendering import wording
from latentbench.reporting.rendering.cells import Shown
from latentbench.reporting.rendering.escaping import visible
from latentbench.reporting.rendering.grid import Grid, grid, joined, shortened, spans, transposed

GAP = "  "
"""Between columns."""


def terminal_width() -> int | None:
    """Columns of the terminal: what `COLUMNS` says, else those of standard output. None, no limit, where it is a pipe or a file."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def colourful() -> bool:
    """Whether standard output is a terminal that has colours, and the user has not said NO_COLOR."""
    console = Console()
    return console.color_system is not None and not console.no_color


def terminal(comparison: Comparison, width: int | None = None, details: bool = False, colour: bool = False) -> str:
    """The leaderboard as text with aligned columns.

    One that is too wide has shorter names of settings, or is transposed, where that fits better, and is split into tables under each other.

    Args:
        comparison: the leaderboard.
        width: columns of the terminal; by default `terminal_width()`. A name or cell that is wider by itself is neither cut nor wrapped.
        details: whether to list every contrast, column by column.
        colour: whether to write the terminal's codes for bold and dim text.
    """
    limit = terminal_width() if width is None else width
    form = _fitting(grid(comparison), limit)
    said = [*wording.notes(comparison), *(wording.details(comparison) if details else wording.more_seeds(comparison))]
    blocks = [
        [Text(line, "bold") for line in _wrapped(wording.titles(comparison), limit)],
        [Text(line) for line in _wrapped([*wording.constants(form.grid), *wording.short_names(form.short)], limit)],
        *form.tables,
        [Text(line, "dim") for line in _wrapped(wording.legend(comparison, form.grid, "*"), limit)],
        [Text(line) for line in _wrapped(said, limit)],
    ]
    lines = [line for block in blocks if block for line in [Text(), *block]][1:]
    return _with_codes(lines) if colour else "\n".join(line.plain.rstrip() for line in lines)


@dataclass(frozen=True)
class _Strip:
    """A printed column: its labels in the stacked header, its own heading, and its texts; those at `bold` are starred."""

    path: Key
    head: str
    body: Sequence[str]
    bold: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """Of its widest text."""
        return max(map(cell_len, (self.head, *self.body)))


@dataclass(frozen=True)
class _Form:
    """One way to lay a grid out: with what its short names stand for, and seeds in a column of their own if `parted`. `tables` are its lines."""

    grid: Grid
    short: Mapping[str, str] = field(default_factory=dict)
    parted: bool = False
    tables: Sequence[Sequence[Text]] = ()

    def fitted(self, limit: int | None) -> _Form:
        """With its tables."""
        return replace(self, tables=_tables(self.grid, limit, self.parted))

    def fits(self, limit: int) -> bool:
        """Whether no line is too wide."""
        return all(cell_len(line.plain) <= limit for table in self.tables for line in table)


def _fitting(original: Grid, limit: int | None) -> _Form:
    """The form that fits in the fewest tables, the first such; seeds are parted from their values only where nothing else fits.

    Of several columns a transposed form counts where it fits better and needs no more tables: readers compare rows.
    """
    whole = _Form(original).fitted(limit)
    if limit is None or not original.columns or (len(whole.tables) == 1 and whole.fits(limit)):
        return whole
    upright = [whole, *_tighter(original, limit)]
    flipped = [_Form(transposed(original)).fitted(limit), *_tighter(transposed(original), limit)] if len(original.columns) > 1 else upright

    def cost(form: _Form) -> tuple[bool, bool, int]:
        return not form.fits(limit), form.parted, len(form.tables)

    best, other = min(upright, key=cost), min(flipped, key=cost)
    return other if cost(other) < cost(best) and len(other.tables) <= max(2, len(best.tables)) else best


def _tighter(shown: Grid, limit: int) -> list[_Form]:
    shorter, short = shortened(shown)
    return [form.fitted(limit) for form in (_Form(shorter, short), _Form(joined(shorter), short), _Form(joined(shorter), short, parted=True))]


def _tables(shown: Grid, limit: int | None, parted: bool) -> list[list[Text]]:
    """The lines of every table: the names of the rows, and as many columns next to them as the limit allows."""
    names = _names(shown)
    space = max(sum(name.width + len(GAP) for name in names), *(cell_len(visible(level)) + len(GAP) for level in shown.column_names), 0)
    chunks: list[list[_Strip]] = [[]]
    for unit in _units(shown, parted):
        if limit is not None and chunks[-1] and space + _total([*chunks[-1], *unit]) > limit:
            chunks.append([])
        chunks[-1] += unit
    rows = max((len(strip.body) for strip in (*names, *chunks[0])), default=0)
    said = [frozenset(i for i in range(rows) if any(strip.body[i] for strip in chunk)) for chunk in chunks]
    unsaid = frozenset(range(rows)) - frozenset().union(*said)
    kept = [said[0] | unsaid, *said[1:]] if len(chunks) > 1 else [frozenset(range(rows))]  # a row is in the tables that say something of it
    return [_lines(names, chunk, shown.column_names, sorted(rows)) for chunk, rows in zip(chunks, kept, strict=True)]


def _total(strips: Sequence[_Strip]) -> int:
    """The width of strips next to each other, their headers included."""
    return sum(_widths(strips)) + len(GAP) * (len(strips) - 1)


def _names(shown: Grid) -> list[_Strip]:
    """The columns that name rows."""
    last = ["mean rank"] if shown.ranks is not None and shown.transposed else []
    return [
        _Strip((), visible(name), [*(visible(row[k]) for row in shown.rows), *(last if k == 0 else [""] * len(last))])
        for k, name in enumerate(shown.row_names)
    ]


def _units(shown: Grid, parted: bool) -> list[list[_Strip]]:
    """Strips that stay together: the values of a column with their ranks, their seeds if `parted`, differences from a baseline, mean ranks."""
    units = []
    for j, key in enumerate(shown.columns):
        path, cells = tuple(map(visible, key)), shown.column(j)
        last = [shown.ranks[j]] if shown.ranks is not None and shown.transposed else []
        blank = [""] * len(last)
        starred = frozenset(i for i, cell in enumerate(cells) if cell is not None and cell.star)
        units.append([_Strip(path, visible(shown.heads[j]), [*_aligned(cells, parted), *last], starred)])
        if (ranks := shown.ranks_of(j)) is not None:
            units[-1].append(_Strip(path, "rank", [*ranks, *blank]))
        if parted and any(cell is not None and cell.remarks for cell in cells):
            remarks = ["" if cell is None else ", ".join(cell.remarks) for cell in cells]
            units.append([_Strip(path, "seeds", [*remarks, *blank])])
        if (differences := shown.differences_of(j)) is not None:
            units.append([_Strip(path, "difference", [*_on_point([str(text) for text in differences]), *blank])])
    if shown.ranks is not None and not shown.transposed:
        units.append([_Strip(("",) * len(shown.column_names), "mean rank", shown.ranks)])
    return units


def _aligned(cells: Sequence[Shown | None], parted: bool) -> list[str]:
    """The texts of a column, their decimal points under each other, as in `* 41.61 ± 0.12 ab (1 failed) [1]`; without seeds if `parted`."""
    some = [cell for cell in cells if cell is not None]
    star = any(cell.star for cell in some)
    values = _on_point(["" if cell is None else cell.value for cell in cells])
    letters = max((len(cell.letters) for cell in some), default=0)
    width = max(map(cell_len, values), default=0)
    texts = []
    for cell, value in zip(cells, values, strict=True):
        if cell is None:
            texts.append("")
            continue
        mark = ("* " if cell.star else GAP) if star else ""
        tied = f" {cell.letters:{letters}}" if letters else ""
        notes = f" [{','.join(map(visible, cell.marks))}]" if cell.marks else ""
        remark = f" {cell.remark}" if cell.remark and not parted else ""
        texts.append(f"{mark}{value}{' ' * (width - cell_len(value))}{tied}{remark}{notes}".rstrip())
    return texts


def _on_point(texts: Sequence[str]) -> list[str]:
    """Texts that begin with numbers, with blanks before them so that their decimal points are under each other."""
    points = [_point(text) for text in texts]
    return [f"{' ' * (max(points) - point)}{text}" if text else "" for point, text in zip(points, texts, strict=True)]


def _point(text: str) -> int:
    """The position of the point of a text's first number, or of its end."""
    start = 2 if text[:2] in ("> ", "< ") else 0
    return next((i for i in range(start, len(text)) if text[i] in ".e "), len(text))


def _widths(strips: Sequence[_Strip]) -> list[int]:
    """The widths of strips; the last one under a label that is wider than what it spans grows."""
    widths = [strip.width for strip in strips]
    for level in range(len(strips[0].path) if strips else 0):
        start = 0
        for label, count in spans([strip.path for strip in strips], level):
            spanned = sum(widths[start : start + count]) + len(GAP) * (count - 1)
            widths[start + count - 1] += max(0, cell_len(label) - spanned)
            start += count
    return widths


def _lines(names: Sequence[_Strip], strips: Sequence[_Strip], levels: Sequence[str], rows: Sequence[int]) -> list[Text]:
    """The lines of one table: a line for each level of the header, headings, a rule, and some rows."""
    left = [name.width for name in names]
    short = max((cell_len(visible(level)) for level in levels), default=0) - sum(left) - len(GAP) * (len(left) - 1)
    if left and short > 0:
        left[-1] += short
    widths = [*left, *_widths(strips)]
    space = sum(left) + len(GAP) * (len(left) - 1)
    lines = [_header(visible(level), space, k, strips, widths[len(left) :]) for k, level in enumerate(levels)]
    both = [*names, *strips]
    lines.append(_row([strip.head for strip in both], widths, "bold"))
    lines.append(_row(["-" * width for width in widths], widths, "dim"))
    for i in rows:
        lines.append(_row([strip.body[i] for strip in both], widths, ["bold" if i in strip.bold else "" for strip in both]))
    return lines


def _header(name: str, space: int, level: int, strips: Sequence[_Strip], widths: Sequence[int]) -> Text:
    """One level of the header: its name over those of the rows, and its labels, between dashes where they span several columns."""
    texts, spanned, start = [name], [space], 0
    for label, count in spans([strip.path for strip in strips], level):
        width = sum(widths[start : start + count]) + len(GAP) * (count - 1)
        dashes = width - cell_len(label) - 2
        between = label and count > 1 and dashes >= 2
        texts.append(f"{'-' * (dashes // 2)} {label} {'-' * (dashes - dashes // 2)}" if between else label)
        spanned.append(width)
        start += count
    return _row(texts[space < 0 :], spanned[space < 0 :], "bold")


def _row(texts: Sequence[str], widths: Sequence[int], styles: str | Sequence[str] = "") -> Text:
    """Texts next to each other, each as wide as its column."""
    line = Text()
    for i, (text, width) in enumerate(zip(texts, widths, strict=True)):
        line.append(text, styles if isinstance(styles, str) else styles[i])
        line.append(" " * (width - cell_len(text)) + (GAP if i + 1 < len(texts) else ""))
    line.rstrip()
    return line


def _wrapped(lines: Sequence[str], limit: int | None) -> list[str]:
    """Lines of words, none wider than the limit unless a word is; what continues a line is indented."""
    wrapped = []
    for line in map(visible, lines):
        indent = line[: len(line) - len(line.lstrip())]
        words = line.split()
        current = indent + (words[0] if words else "")
        for word in words[1:]:
            if limit is not None and cell_len(current) + 1 + cell_len(word) > limit:
                wrapped.append(current)
                current = f"{indent}  {word}"
            else:
                current += f" {word}"
        wrapped.append(current)
    return wrapped


def _with_codes(lines: Sequence[Text]) -> str:
    """Lines with the codes of their styles. Nothing in them is read as markup."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", legacy_windows=False, highlight=False)
    for line in lines:
        console.print(line, no_wrap=True, overflow="ignore", crop=False)
    return out.getvalue().rstrip("\n")
