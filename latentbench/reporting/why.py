"""Why planned runs are not done: what their code, their parts, their data or their evaluations have come to differ in from what is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from latentbench.results.snapshot import Snapshot
from latentbench.results.store import title
from latentbench.results.tables import RUN
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.plan import Plan, Planned
from latentbench.suites.run_state import Kind

IDENTITY = [name for name in RUN if name not in ("plugins", "dataset_sources", "protocol")]
"""What runs have in common that differ in the versions of their parts, or in their data files, alone."""


def reasons(plan: Plan, snapshot: Snapshot) -> dict[str, list[str]]:
    """Run id -> why it is not done, in clauses; nothing where it is done and by the code that there is now.

    Raises:
        UserError: the results folder cannot be read.
    """
    alike = _alike(snapshot) if any(item.state.kind is Kind.MISSING for item in plan.runs) else {}
    measured = _measured(snapshot) if any(item.state.lacking for item in plan.runs) else {}
    found = {item.run.id: list(_reasons(item, alike, measured)) for item in plan.runs}
    return {run_id: clauses for run_id, clauses in found.items() if clauses}


def _reasons(item: Planned, alike: Mapping[str, Mapping[str, Any]], measured: Mapping[tuple[str, str], list[Mapping[str, Any]]]) -> Iterator[str]:
    state = item.state
    if state.kind is Kind.MISSING:
        stored = alike.get(_identity(item.run.to_row()))
        yield "nothing is stored of it" if stored is None else f"it is stored with {_differences(item, stored)}"
    if state.kind is Kind.INTERRUPTED and not state.changed:
        yield "its training was interrupted, and resumes"
    if state.failure is not None and state.kind is Kind.FAILED:
        yield f"it failed: {state.failure}"
    for what, files in state.changed.items():
        yield f"{what}: {', '.join(files)} changed since"
    for evaluation in state.lacking if state.trained else ():
        yield _lacking(evaluation, measured.get((item.run.id, evaluation.name), []))


def _differences(item: Planned, stored: Mapping[str, Any]) -> str:
    """In what a stored run of the same settings differs from a planned one."""
    before, now = json.loads(stored["plugins"] or "{}"), item.run.plugins
    found = []
    for part in sorted(before.keys() | now.keys()):
        if before.get(part) != now.get(part):
            kind, _, name = part.partition(":")
            found.append(f"{kind} '{name}' {_version(before.get(part))}, which is {_version(now.get(part))} now")
    data, present = json.loads(stored["dataset_sources"] or "{}"), item.run.sources
    files = sorted(name for name in data.keys() | present.keys() if data.get(name) != present.get(name))
    return ", ".join([*found, *([f"other data files: {', '.join(files)} changed"] if files else [])])


def _version(version: str | None) -> str:
    return "not used" if version is None else f"of version {version}"


def _lacking(evaluation: EvaluationPlan, others: list[Mapping[str, Any]]) -> str:
    """What is missing, and how the same evaluation has measured instead."""
    for other in others:
        if json.loads(other["options"] or "{}") == dict(evaluation.options) and other["version"] != evaluation.version:
            return f"evaluation {evaluation} has measured with version {other['version']}, and version {evaluation.version} is installed"
    titles = sorted({title(other["evaluation"], json.loads(other["options"] or "{}")) for other in others})
    return f"evaluation {evaluation} has not measured it" + (f", but {', '.join(titles)} has" if titles else "")


def _alike(snapshot: Snapshot) -> dict[str, Mapping[str, Any]]:
    """What identifies a run but for versions and data -> the row of one that is stored."""
    rows = snapshot.store.rows("runs", ["run_id", *RUN, "status"]).to_pylist()
    return {_identity(row): row for row in rows if row["status"] == "done"}


def _identity(row: Mapping[str, Any]) -> str:
    return json.dumps([_plain(row[name]) for name in IDENTITY])


def _plain(value: Any) -> Any:
    """A setting as it is compared: without options is as none, and numbers are as tables have them."""
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    return None if value in (None, "", {}) else value


def _measured(snapshot: Snapshot) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    """Run and evaluation -> the rows of `evaluations`."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in snapshot.store.rows("evaluations", ["run_id", "evaluation", "options", "version"]).to_pylist():
        found.setdefault((row["run_id"], row["evaluation"]), []).append(row)
    return found
