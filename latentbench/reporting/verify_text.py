"""Verdicts as text: for a terminal, GitHub, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from math import isfinite
from typing import Any

import pandas as pd

from latentbench.reporting.rendering.escaping import github, spreadsheet, visible
from latentbench.reporting.rendering.numbers import number
from latentbench.reporting.text import table
from latentbench.reporting.verdicts import Verdict
from latentbench.reporting.verify import Line, Verification

FORMATS = ("terminal", "github", "csv", "json")
MAX_REASONS = 4
"""Reasons why values were not compared, of those that a table names."""
Escaped = Callable[[str], str]
Drawn = Callable[[Sequence[Sequence[str]], Sequence[str]], str]
"""Makes a table of rows and a header."""


def verification_text(verification: Verification, form: str = "terminal") -> str:
    """Verdicts table by table, and how many there are of each; CSV and JSON have a line for every published value, numbers unrounded.

    Args:
        verification: the verdicts.
        form: one of `FORMATS`.
    """
    if form == "csv":
        return _csv(verification)
    if form == "json":
        return _json(verification)
    return _tables(verification, visible, table) if form == "terminal" else _tables(verification, github, _markdown)


def summary(verification: Verification) -> list[str]:
    """A line a table: how many of its values have which verdict."""
    return [
        f"{name}: {', '.join(f'{counts[verdict]} {verdict}' for verdict in Verdict if counts[verdict]) or 'no values'}"
        for name, counts in verification.tables.items()
    ]


def records(verification: Verification) -> list[dict[str, Any]]:
    """A record for every published value, with all that its verdict rests on."""
    return [_record(line) for line in verification.lines]


class _Marks:
    """Footnotes in the order in which they are first referred to."""

    def __init__(self) -> None:
        self.notes: dict[str, int] = {}

    def of(self, notes: Iterable[str]) -> str:
        """The marks that refer to them."""
        return "".join(f" [{self.notes.setdefault(note, len(self.notes) + 1)}]" for note in notes)


def _tables(verification: Verification, escaped: Escaped, drawn: Drawn) -> str:
    """Every table with its verdicts, what was not run, footnotes, and the summary."""
    marks = _Marks()
    blocks = []
    for name in verification.tables:
        lines = [line for line in verification.lines if line.table == name]
        compared = [line for line in lines if line.verdict != Verdict.NOT_RUN]
        shared = [note for note in (compared[0].notes if compared else ()) if all(note in line.notes for line in compared)]
        if compared:
            header, body = _grid(compared, marks, shared)
            blocks += [escaped(name), drawn([[*map(escaped, row)] for row in body], [*map(escaped, header)])]
        blocks += [escaped(f"{name}: {note}") for note in shared]
        if left_out := _left_out(lines):
            blocks.append("\n".join([escaped(f"{name}, not run:"), *(f"- {escaped(text)}" for text in left_out)]))
    told = [*_legend(verification), *(f"[{mark}] {note}" for note, mark in marks.notes.items()), *verification.notes]
    lists = (told, summary(verification))
    return "\n\n".join(filter(None, [*blocks, *("\n".join(f"- {escaped(text)}" for text in texts) for texts in lists)]))


def _legend(verification: Verification) -> Iterable[str]:
    if any(line.n for line in verification.lines):
        yield "intervals: 99 %, Student's t over n seeds of our own, and as published"
    if any(line.judgement.more for line in verification.lines):
        yield "+N seeds: N more seeds of our own would tell, with power .8, approximately"


def _grid(lines: Sequence[Line], marks: _Marks, shared: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The header of a table and its rows, without the notes that all of them share."""
    names = list(dict.fromkeys(name for line in lines for name in line.named))
    several = len({line.measured for line in lines}) > 1
    body = []
    for line in lines:
        more = f" (+{line.judgement.more} seeds)" if line.judgement.more else ""
        noted = marks.of([*([line.reason] if line.reason else []), *(note for note in line.notes if note not in shared)])
        model = " ".join(filter(None, (line.named.get(name) for name in names)))
        body.append([model, *([_measured(line)] if several else []), _ours(line), _theirs(line), f"{line.verdict}{more}{noted}"])
    if several:
        return [" ".join(names), "measured", "ours", "published", "verdict"], body
    return [" ".join(names), f"ours, {_measured(lines[0])}", "published", "verdict"], body


def _measured(line: Line) -> str:
    at = f" at {line.measured.index}" if line.measured.index else ""
    split = "" if line.measured.split == "validation" else f" on {line.measured.split}"
    return f"{line.measured.metric}{at}{split}"


def _ours(line: Line) -> str:
    """Our mean with its interval and how many seeds it is over, and how many have none for which reason."""
    if line.mean is None:
        return ""
    without = {
        "failed": line.values.failed, "missing": line.values.missing, "not measured": line.values.unmeasured, "not finite": line.values.not_finite
    }  # fmt: skip
    counts = [str(line.n), *(f"{count} {reason}" for reason, count in without.items() if count)]
    return f"{_with_interval(line.mean, line.interval)} (n = {', '.join(counts)})"


def _theirs(line: Line) -> str:
    return _with_interval(line.published.value, line.published.interval, printed=line.published.rounding > 0)


def _with_interval(mean: float, half: float | None, printed: bool = False) -> str:
    ends = (None, None) if half is None else (mean - half, mean + half)
    return str(number(mean, *ends, printed=printed))


def _left_out(lines: Sequence[Line]) -> list[str]:
    """Why values of a table were not compared, with how many there are for each reason; the most frequent first."""
    reasons: dict[str, int] = {}
    for line in lines:
        if line.verdict == Verdict.NOT_RUN:
            reasons[line.reason] = reasons.get(line.reason, 0) + 1
    found = sorted(reasons.items(), key=lambda item: -item[1])
    rest = sum(count for _, count in found[MAX_REASONS:])
    return [f"{count}: {reason}" for reason, count in found[:MAX_REASONS]] + ([f"{rest}: other reasons (--format csv names them)"] if rest else [])


def _markdown(body: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """A table in GitHub's Markdown, of texts that are escaped already."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *body])


def _record(line: Line) -> dict[str, Any]:
    judged, difference = line.judgement, line.judgement.difference
    return {
        "table": line.table, **{name: str(value) for name, value in line.settings.items()},
        "metric": line.measured.metric, "split": line.measured.split, "index_name": line.index_name,
        "index": float(line.measured.index) if line.measured.index else None,
        "ours": line.mean, "interval": line.interval, "n": line.n, "failed": line.values.failed, "missing": line.values.missing,
        "unmeasured": line.values.unmeasured, "not_finite": line.values.not_finite, "other_source": line.values.other_source,
        "published": line.published.value, "published_interval": line.published.interval,
        "published_n": line.published.sample.n if line.published.seeds else None, "source": line.source, "margin": line.margin,
        "difference": difference and difference.mean, "difference_interval_90": difference and difference.interval, "p": judged.p,
        "p_adjusted": judged.adjusted, "allowed": judged.allowed, "more_seeds": judged.more, "verdict": str(judged.verdict),
        "reason": line.reason, "notes": "; ".join(line.notes),
    }  # fmt: skip


def _csv(verification: Verification) -> str:
    rows = records(verification)
    first = list(dict.fromkeys(name for row in rows for name in row))
    frame = pd.DataFrame([{spreadsheet(name): _harmless(row.get(name)) for name in first} for row in rows], dtype=object)
    return str(frame.to_csv(index=False, lineterminator="\n")).removesuffix("\n")


def _harmless(value: Any) -> Any:
    return spreadsheet(value) if isinstance(value, str) else value


def _json(verification: Verification) -> str:
    """An object with `version`, the suite, its values, and the number of verdicts by table."""
    found = {
        "version": 1, "suite": verification.suite, "failed": verification.failed, "notes": list(verification.notes),
        "tables": {name: {str(verdict): count for verdict, count in counts.items()} for name, counts in verification.tables.items()},
        "values": [{name: _plain(value) for name, value in row.items()} for row in records(verification)],
    }  # fmt: skip
    return json.dumps(found, indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value
