"""What a suite asks for: from the records of a results folder, or by planning it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from latentbench.results.asked import Asked, records
from latentbench.results.store import Store
from latentbench.suites.suite import load_suite


def asked(suite: Path, stores: Sequence[Path]) -> Asked:
    """The runs and evaluations that a suite file asks for, on every kind of device that results folders have runs of.

    Where `latentbench run` has recorded them there, with the code that there is now, neither plugins nor torch are loaded; else the suite is planned.

    Raises:
        UserError: the suite or a folder is wrong.
    """
    loaded = load_suite(suite)
    found = [record for path in stores for record in records(path, loaded.digest) if not record.changes]
    return _joined(found or _planned(suite, stores))


def other_changes(suite: Path, stores: Sequence[Path]) -> list[str]:
    """How the suite was changed when it was run in results folders, as flags; for messages about runs that are not there."""
    digest = load_suite(suite).digest
    return sorted({record.changes for path in stores for record in records(path, digest)} - {""})


def _planned(suite: Path, stores: Sequence[Path]) -> list[Asked]:
    from latentbench.registry import load_registry  # loads torch and all plugins
    from latentbench.suites.plan import make_plan

    devices = {device for path in stores for device in Store(path).read("runs", ["device"])["device"].dropna()}
    return [Asked.of(make_plan(load_suite(suite), load_registry(), device)) for device in sorted(devices & {"cpu", "cuda"} or {"cpu"})]


def _joined(found: Sequence[Asked]) -> Asked:
    """Records of one suite as one, the newest last."""
    runs = {run_id: row for asked in found for run_id, row in asked.runs.items()}
    evaluations = {run_id: ids for asked in found for run_id, ids in asked.evaluations.items()}
    return replace(found[-1], runs=runs, evaluations=evaluations, titles={i: title for asked in found for i, title in asked.titles.items()})
