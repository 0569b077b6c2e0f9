"""What is stored of a run that was executed: the columns that say when, where and by what, and the row of one that failed."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import torch

from latentbench.execution.job import Job
from latentbench.failure import Failure
from latentbench.models.numerics import set_numerics
from latentbench.results.provenance import environment, git_state, hardware
from latentbench.results.store import Store
from latentbench.suites.settings import Run


def origin_of(run: Run, device: str) -> dict[str, Any]:
    """Columns of a run's row that say when, where and by what it is computed, as it begins; sets the numerics of this process."""
    numerics = set_numerics(run.dtype, device)
    sha, dirty = git_state()
    place = {"versions": json.dumps(environment()), **hardware(device), "numerics": json.dumps(numerics)}
    return {"started": datetime.now(UTC), **place, "git_sha": sha, "git_dirty": dirty}


def peak_memory(device: str) -> dict[str, int | None]:
    """Most bytes that this process has had: of the host (its resident set), and of the GPU."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    host = peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux
    return {"peak_memory_bytes": host, "device_peak_memory_bytes": torch.cuda.max_memory_reserved(device) if device.startswith("cuda") else None}


def store_failure(job: Job, failure: Failure, store: Store, origin: Mapping[str, Any]) -> None:
    """Store that a run failed; `origin` are columns that say when and where. A run that is trained stays so: its evaluation failed."""
    if job.trained:
        store.update_run(job.run.id, failure.of_a_trained_run().to_row())
    else:
        store.write_rows("runs", job.run.id, [{**job.run.to_row(), **origin, "status": "failed", **failure.to_row()}])
