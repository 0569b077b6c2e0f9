"""Failed runs: reasons, tracebacks, and the ends of logs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentbench.failure import Failure
from latentbench.reporting.failures import FailureGroup, grouped
from latentbench.reporting.report.page import Block, Code, Details, Entry, Head, Table, Text
from latentbench.reporting.report.stored import Stored
from latentbench.reporting.report.text import count
from latentbench.results.store import Store

MAX_REASONS = 50
"""Reasons whose tracebacks are shown."""
MAX_ROWS = 500
"""Failed runs that are listed."""
MAX_NAMED = 20
"""Runs of one reason that are named."""
LOG_END = 4_000
"""Bytes of the end of a log."""
MAX_TRACEBACK = 20_000
"""Characters of the end of a traceback."""
HEADS = [Head("kind"), Head("run"), Head("model"), Head("seed", True), Head("message")]


def failures(stored: Stored) -> list[Block]:
    """Every failed run in a row, and for every reason the traceback, and the end of the log, of one run that has it."""
    rows = stored.runs[stored.runs["failure_kind"].notna()].astype(object).where(lambda frame: frame.notna(), None)
    if rows.empty:
        return [Text(["No run failed."])]
    told = {str(row["run_id"]): (row, failure) for row in rows.to_dict("records") if (failure := Failure.from_row(row)) is not None}  # type: ignore[arg-type]
    body = [
        [Entry(failure.kind), Entry(run_id), Entry(str(row["model"])), Entry(str(row["seed"]), row["seed"]), Entry(failure.message)]
        for run_id, (row, failure) in list(told.items())[:MAX_ROWS]
    ]
    notes = [f"{count(len(told) - MAX_ROWS, 'more run')} failed."] if len(told) > MAX_ROWS else []
    groups = grouped((run_id, failure) for run_id, (_, failure) in told.items())
    blocks: list[Block] = [Table(f"{count(len(told), 'run')} failed", HEADS, body, 2, notes)]
    blocks += [_reason(group, *told[group.runs[0]]) for group in groups[:MAX_REASONS]]
    if len(groups) > MAX_REASONS:
        blocks.append(Text([f"{count(len(groups) - MAX_REASONS, 'more reason')} not shown."]))
    return blocks


def _reason(group: FailureGroup, row: Mapping[Any, Any], failure: Failure) -> Details:
    """A folded block about the runs that failed for one reason, with what is stored of one of them."""
    run_id = group.runs[0]
    rest = f", and {len(group.runs) - MAX_NAMED} more" if len(group.runs) > MAX_NAMED else ""
    blocks: list[Block] = [Text([f"{count(len(group.runs), 'run')}: {', '.join(group.runs[:MAX_NAMED])}{rest}."])]
    if failure.traceback:
        blocks.append(Code(f"Traceback of run {run_id}", failure.traceback[-MAX_TRACEBACK:]))
    if log := _log_end(Path(str(row["store"])), run_id):
        blocks.append(Code(f"End of the log of run {run_id}", log))
    if len(blocks) == 1:
        blocks.append(Text(["Neither a traceback nor a log was stored."]))
    return Details(f"{group.kind}: {group.message}", blocks)


def _log_end(results: Path, run_id: str) -> str:
    """The end of what a run printed; empty where there is no log."""
    path = Store(results).log_path(run_id)
    if Path(run_id).name != run_id:  # a stranger's id that would lead out of the folder
        return ""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_END))
            return file.read().decode(errors="replace").strip()
    except (OSError, ValueError):  # a log may be pruned or not readable, an id no name of a file: the row has the failure itself
        return ""
