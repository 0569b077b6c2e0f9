"""What is going on in a results folder, seen from any machine that has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from latentbench.errors import UserError
from latentbench.execution.leases import Lease, Leases
from latentbench.execution.queue import waiting
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store


@dataclass(frozen=True)
class Running:
    """A run that some process works on: what it is, where, since when, how far it is, and the seconds that it has left if it goes on like this."""

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
    """Stored runs by what became of them, the runs that are being worked on, the queued ones (id: what it is), and those that were interrupted and
    that nobody works on or has queued."""

    counts: Mapping[str, int]
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
    snapshot = Snapshot.read(store)
    failures = map(snapshot.failure, snapshot.rows)
    outcomes = Counter("done" if failure is None else f"failed: {failure.kind}" for failure in failures)
    leases = Leases(results / "leases").all()
    running = [_running(run_id, lease) for run_id, lease in sorted(leases.items())]
    queued = {run_id: str(queue.entries[run_id].get("about")) for run_id, queue in waiting(results, snapshot).items() if run_id not in leases}
    return Status(dict(outcomes), running, queued, sorted(snapshot.saved - snapshot.rows.keys() - leases.keys() - queued.keys()))


def _running(run_id: str, lease: Lease) -> Running:
    if lease.problem is not None:
        raise UserError(lease.problem)
    step, steps, rate = lease.progress or (None, None, None)
    left = (steps - step) / rate if step is not None and steps is not None and rate else None
    return Running(run_id, lease.about, lease.host, lease.pid, lease.since, step, steps, left)
