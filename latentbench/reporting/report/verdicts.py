"""What was published for a suite, and whether its runs agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latentbench.errors import UserError
from latentbench.reporting.rendering.numbers import number
from latentbench.reporting.report.page import Block, Details, Entry, Head, Table, Text
from latentbench.reporting.report.text import count
from latentbench.reporting.verdicts import FAILING, Verdict
from latentbench.reporting.verify import Line, Verification, verify
from latentbench.reporting.verify_text import summary
from latentbench.suites.suite import load_suite

MAX_LINES = 400
"""Published values of a table that are listed."""


def verdicts(suite: Path | None, stores: Sequence[Path]) -> list[Block]:
    """The verdicts of `latentbench verify`, a table for every published one."""
    if suite is None:
        return [Text(["Give the suite with --suite to have its results compared with the published ones that it expects."])]
    if not load_suite(suite).expect:
        return [Text(["The suite expects no published table."])]
    try:
        found = verify(suite, stores)
    except UserError as error:
        return [Text([f"There are no verdicts: {error}."])]
    said = "Something differs from what was published." if found.failed else "Nothing is known to differ from what was published."
    return [Text([said, *summary(found), *found.notes]), *(block for table in found.tables for block in _table(found, table))]


def _table(found: Verification, table: str) -> list[Block]:
    """The values that were compared, and folded those that were not."""
    lines = [line for line in found.lines if line.table == table]
    compared, left_out = ([line for line in lines if (line.verdict != Verdict.NOT_RUN) is whether] for whether in (True, False))
    blocks: list[Block] = []
    if compared:
        blocks.append(_lines(f"Verdicts on {table}", compared))
    if left_out:
        blocks.append(Details(f"{table}: {count(len(left_out), 'value')} not run", [_lines(f"Not run of {table}", left_out)]))
    return blocks


def _lines(caption: str, lines: Sequence[Line]) -> Table:
    heads = [Head("model"), Head("measured"), Head("ours", True, "with the 99 % t interval"), Head("seeds", True), Head("published", True)]
    rows = [
        [
            Entry(" ".join(line.named.values()) or "all"),
            Entry(_measured(line)),
            _value(line.mean, line.interval),
            Entry(str(line.n), line.n),
            _value(line.published.value, line.published.interval, printed=line.published.rounding > 0),
            Entry(str(line.verdict), strong=line.verdict in FAILING),
            Entry("; ".join(filter(None, (line.reason, *line.notes)))),
        ]
        for line in lines[:MAX_LINES]
    ]
    notes = [f"{count(len(lines) - MAX_LINES, 'more value')} not listed."] if len(lines) > MAX_LINES else []
    return Table(caption, [*heads, Head("verdict"), Head("why")], rows, 2, notes)


def _measured(line: Line) -> str:
    at = f" at {line.measured.index}" if line.measured.index else ""
    return f"{line.measured.metric}{at}" + ("" if line.measured.split == "validation" else f" on {line.measured.split}")


def _value(mean: float | None, half: float | None, printed: bool = False) -> Entry:
    if mean is None:
        return Entry("")
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return Entry(str(number(mean, low, high, printed=printed)), mean)
