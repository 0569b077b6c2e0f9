"""The queue of a results folder: what its invocations have asked for, so that other processes and machines can do it and tell of it.

`queue/` has one JSON file an invocation. A run in it is queued as long as something of it is still to do. The file goes when none of its runs is
queued any more, when the invocation ends, or when `latentbench cancel` removes it: then none of its runs is begun any more.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from latentbench.errors import UserError
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.execution.process import is_gone, this_process
from latentbench.files import listed, read_json, remove, write_atomically
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.settings import Run

VERSION = 3
ENTRY = ("id", "about", "run", "evaluations", "trained", "seen")
"""What a queue file says of a run, which is a row since version 3."""
LATER = {"sources": 0, "keep_checkpoints": ()}
"""What later versions say too: with which of the file's `sources` the run was planned (2), and where its model is kept (3)."""


@dataclass(frozen=True)
class Queued:
    """A queue file: who wrote it, and what was asked for, longest first. `entries` are as in the file, by run id; each names one of `sources`."""

    path: Path
    suite: str
    owner: Mapping[str, Any]
    entries: Mapping[str, Mapping[str, Any]]
    sources: Sequence[Mapping[str, str]]

    def job(self, run_id: str) -> Job:
        """One of its runs.

        Raises:
            UserError: the file does not describe it.
        """
        try:
            return _job(self.entries[run_id], self.sources)
        except (KeyError, IndexError, TypeError, ValueError, ValidationError) as error:
            raise _damaged(self.path, error) from error


def enqueue(results: Path, suite: str, jobs: Iterable[Job], detached: bool) -> Path:
    """Write a queue file. `detached` says that its runs outlive this process."""
    sources: dict[str, int] = {}  # many runs share one code
    entries = [
        {
            "id": job.run.id,
            "about": job.label,
            "run": job.run.to_row(),
            "evaluations": [asdict(evaluation) for evaluation in job.evaluations],
            "trained": job.trained,
            "seen": job.seen,
            "keep_checkpoints": job.keep_checkpoints,
            "sources": sources.setdefault(json.dumps(dict(job.sources), sort_keys=True), len(sources)),
        }
        for job in jobs
    ]
    owner = {} if detached else this_process()
    content = {"version": VERSION, "suite": suite, "owner": owner, "sources": [json.loads(text) for text in sources], "jobs": entries}
    path = results / "queue" / f"{re.sub(r'[^a-zA-Z0-9-]+', '_', suite)}.{uuid.uuid4().hex[:8]}.json"
    write_atomically(path, json.dumps(content).encode())
    return path


def queues(results: Path) -> list[Queued]:
    """All queue files.

    Raises:
        UserError: one is damaged, cannot be read, or was written by a newer latentbench.
    """
    found = []
    for path in listed(results / "queue", ".json"):
        try:
            content = read_json(path)
            if content["version"] not in range(1, VERSION + 1):
                raise UserError(f"{path} has version {content['version']}, this latentbench reads up to {VERSION}")
            entries = {str(entry["id"]): {**LATER, **entry, **{name: entry[name] for name in ENTRY}} for entry in content["jobs"]}
            found.append(Queued(path, str(content["suite"]), dict(content["owner"]), entries, list(content.get("sources", [{}]))))
        except FileNotFoundError:
            continue
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from error
    return found


def waiting(results: Path, snapshot: Snapshot | None = None) -> dict[str, Queued]:
    """Queued runs by id, and a file that has them, in the order of the files; by a snapshot of the folder, or as it is now."""
    return {run_id: queue for queue in _thinned(results, snapshot) for run_id in queue.entries}


def _thinned(results: Path, snapshot: Snapshot | None) -> list[Queued]:
    """The queue files, with those of their runs that are queued still."""
    found = queues(results)
    if not found:
        return []
    stored = snapshot or Snapshot.read(Store(results))

    def is_queued(queue: Queued, run_id: str) -> bool:
        row = stored.rows.get(run_id)
        return row is None or queue.job(run_id).rest(row, stored.evaluated.get(run_id, set())) is not None

    return [replace(queue, entries={i: entry for i, entry in queue.entries.items() if is_queued(queue, i)}) for queue in found]


def prune(results: Path, snapshot: Snapshot | None = None, suite: str | None = None) -> None:
    """Remove queue files none of whose runs is queued, and those of a `suite` whose process, on this machine, was killed."""
    for queue in _thinned(results, snapshot):
        if not queue.entries or (queue.suite == suite and is_gone(queue.owner)):
            remove(queue.path)


@dataclass(frozen=True)
class Cancelled:
    """How many queued runs were taken back, and how many that are being worked on continue."""

    taken_back: int
    continuing: int


def cancel(results: Path) -> Cancelled:
    """Remove all queue files, damaged ones too. Runs that have begun continue.

    Raises:
        UserError: there is no such folder, or, after the files were removed, something in it cannot be read.
    """
    Store(results).check_exists()
    files = listed(results / "queue", ".json")
    try:
        queued, working = set(waiting(results)), Leases(results / "leases").busy()
    except UserError as error:
        raise UserError(f"the queue of {results} is empty now; how many runs it had is not known: {error}") from error
    finally:
        for path in files:
            remove(path)
    return Cancelled(len(queued - working), len(working))


def _job(entry: Mapping[str, Any], sources: Sequence[Mapping[str, str]]) -> Job:
    evaluations = tuple(EvaluationPlan(**{**evaluation, "options": dict(evaluation["options"])}) for evaluation in entry["evaluations"])
    run = Run.from_row(entry["run"]) if "dataset_sources" in entry["run"] else Run(**entry["run"])
    return Job(
        run, evaluations, entry["trained"], entry["seen"], dict(sources[entry["sources"]]), str(entry["about"]), tuple(entry["keep_checkpoints"])
    )


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"queue file {path} is damaged ({' '.join(str(error).split())}); remove it and run the suite again")
