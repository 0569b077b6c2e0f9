"""Rows of runs that cannot be run, as their plugin could not be loaded: leaderboards count them as failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from latentbench.failure import Failure, FailureKind
from latentbench.results.snapshot import Snapshot
from latentbench.results.tables import SETTINGS
from latentbench.suites.expand import Unplanned


def store_blocked(items: Sequence[Unplanned], snapshot: Snapshot) -> None:
    """Store the rows of combinations whose plugin could not be loaded; rows of others that once were so are removed."""
    for run_id, row in snapshot.rows.items():
        if row["failure_kind"] == FailureKind.MISSING_PLUGIN:
            snapshot.store.forget(run_id)
    for item in items:
        settings = {key: value for key, value in item.settings.items() if key in (*SETTINGS, "seed")}
        settings = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in settings.items()}
        failure = Failure(FailureKind.MISSING_PLUGIN, item.reason).to_row()
        snapshot.store.write_rows("runs", item.id, [{"run_id": item.id, **settings, "status": "failed", **failure, "started": datetime.now(UTC)}])
