"""The state of a results folder, seen from any machine that has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from latentbench.errors import UserError
from latentbench.execution.leases import Lease, Leases
from latentbench.execution.queue import queues, waiting
from latentbench.numbers import duration
from latentbench.reporting.failures import FailureGroup, failures_text, grouped
from latentbench.reporting.text import json_text, plain, table
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store

MAX_QUEUED_SHOWN = 10
"""Queued runs that are listed; the others are counted."""


@dataclass(frozen=True)
class Running:
    """A run that a process works on: its label, its process, the time of its start, its progress, and the seconds left at its speed so far."""

    run_id: str
    what: str
    host: str
    pid: int | None
    since: str
    step: int | None
    steps: int | None
    seconds_left: float | None


@dataclass(frozen=True)
class Status:
    """Counts of stored runs by outcome and why runs failed, running runs, queued ones (id -> label), and interrupted ones that no process works on or
    has queued."""

    counts: Mapping[str, int]
    failures: Sequence[FailureGroup]
    running: Sequence[Running]
    queued: Mapping[str, str]
    interrupted: Sequence[str]


def status(results: Path) -> Status:
    """The state of a results folder; it changes nothing there.

    Raises:
        UserError: there is no such folder, or something in it cannot be read.
    """
    store = Store(results)
    store.check_exists()
    snapshot = Snapshot.read(store, evaluations=bool(queues(results)))  # which tell what of a queued run is still to do
    failures = {run_id: snapshot.failure(run_id) for run_id in snapshot.rows}
    outcomes = Counter("done" if failure is None else f"failed: {failure.kind}" for failure in failures.values())
    failed = grouped((run_id, failure) for run_id, failure in failures.items() if failure is not None)
    leases = Leases(results / "leases").all()
    running = [_running(run_id, lease) for run_id, lease in sorted(leases.items())]
    queued = {run_id: str(queue.entries[run_id].get("about")) for run_id, queue in waiting(results, snapshot).items() if run_id not in leases}
    return Status(dict(outcomes), failed, running, queued, sorted(snapshot.saved - snapshot.rows.keys() - leases.keys() - queued.keys()))


def status_text(results: Path, status: Status) -> str:
    """Counts, why runs failed, running runs in a table, the next queued ones, interrupted ones by id."""
    counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(status.counts.items())) or "no run has ended"
    lines = [f"{results}: {counts}; {len(status.running)} running, {len(status.queued)} queued, {len(status.interrupted)} interrupted"]
    lines += failures_text(status.failures)
    if status.running:
        lines.append(table([_row(run) for run in status.running], ("run", "what", "host", "process", "since", "step", "left")))
    lines += [f"queued: {run_id} {plain(what)}" for run_id, what in list(status.queued.items())[:MAX_QUEUED_SHOWN]]
    if len(status.queued) > MAX_QUEUED_SHOWN:
        lines.append(f"queued: and {len(status.queued) - MAX_QUEUED_SHOWN} more")
    return "\n".join([*lines, *(f"interrupted: {run_id}; `latentbench run` of its suite continues it" for run_id in status.interrupted)])


def status_json(results: Path, status: Status) -> str:
    """The same as JSON, with all runs: `results`, `counts`, `failures`, `running`, `queued` (`run_id` and `what`), `interrupted` (ids)."""
    queued = [{"run_id": run_id, "what": what} for run_id, what in status.queued.items()]
    return json_text({"results": str(results), **asdict(status), "queued": queued})


def _running(run_id: str, lease: Lease) -> Running:
    if lease.problem is not None:
        raise UserError(lease.problem)
    step, steps, rate = lease.progress or (None, None, None)
    left = (steps - step) / rate if step is not None and steps is not None and rate else None
    return Running(run_id, lease.about, lease.host, lease.pid, lease.since, step, steps, left)


def _row(run: Running) -> tuple[str, ...]:
    progress = "" if run.step is None else f"{run.step}/{run.steps}"
    left = "" if run.seconds_left is None else duration(run.seconds_left)
    return run.run_id, run.what, run.host, str(run.pid), run.since, progress, left
