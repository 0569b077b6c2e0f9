"""Which stored runs can be measured with which evaluations, without their suite: and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import ValidationError

from latentbench.data.dataset import DataSet
from latentbench.errors import UserError, first_problem
from latentbench.failure import Failure
from latentbench.files import listed
from latentbench.part import Assembly
from latentbench.plugin_files import with_stored
from latentbench.registry import Registry
from latentbench.results.selection import selected
from latentbench.results.snapshot import Snapshot
from latentbench.suites.asked_evaluation import AskedEvaluation
from latentbench.suites.labels import varying
from latentbench.suites.plan import Planned
from latentbench.suites.resolve import assemble, parts_of, versions
from latentbench.suites.settings import Run


@dataclass(frozen=True)
class LeftOut:
    """What is not measured on a run: an evaluation (empty: all that are asked for), and why, as a clause.

    It is `mendable` where something could be done about it, as when the data are missing; a run without labels has no readout, and that is that.
    """

    run_id: str
    evaluation: str
    reason: str
    mendable: bool = True


class UnmeasurableError(UserError):
    """A stored run cannot be built again as it was trained: the message is the reason, as a clause."""


def measurable(
    snapshot: Snapshot, asked: Sequence[AskedEvaluation], registry: Registry, device: str, only: Mapping[str, Sequence[Any]]
) -> tuple[list[Planned], list[LeftOut]]:
    """The stored runs that some of the `asked` evaluations apply to, with those; and what is left out. Nothing is loaded.

    Args:
        snapshot: the results folder.
        asked: the evaluations.
        registry: the parts that there are now.
        device: `cpu` or `cuda`: where it would be measured.
        only: the values that settings of the runs may have.

    Raises:
        UserError: the folder cannot be read, or no run has one of the values of `only`.
    """
    models = {path.stem for path in listed(snapshot.store.path / "checkpoints", ".safetensors")}
    items: list[Planned] = []
    left_out: list[LeftOut] = []
    rows = selected(snapshot.store.rows("runs"), only).to_pylist()
    for row in (row for row in rows if row["run_id"] in snapshot.rows):  # others have come since
        if row["status"] != "done":
            left_out.append(LeftOut(row["run_id"], "", f"it failed, so there is no model ({Failure.from_row(row)})", mendable=False))
            continue
        try:
            _check_model(row["run_id"], models)
            run = run_of(row)
            assembly = assembly_of(run, with_stored(registry, snapshot.store.path, run.plugins))
            _check_device(run, device)
        except UserError as error:
            left_out.append(LeftOut(row["run_id"], "", str(error)))
            continue
        reasons = {one.plan.id: reason for one in asked if (reason := _inapplicable(one, run, assembly, models)) is not None}
        left_out += reasons.values()
        if len(reasons) < len(asked):
            items.append(Planned(run, assembly, tuple(one.plan for one in asked if one.plan.id not in reasons)))
    told_apart = varying([item.run for item in items], frozenset())
    return [replace(item, varying=settings) for item, settings in zip(items, told_apart, strict=True)], left_out


def run_of(row: Mapping[str, Any]) -> Run:
    """The run that a row of `runs` describes.

    Raises:
        UnmeasurableError: the row does not describe the run whose id it has.
    """
    try:
        run = Run.from_row(row)
    except ValidationError as error:
        raise UnmeasurableError(f"its row does not describe a run: {first_problem(error, Run, row).error()}") from error
    except (KeyError, ValueError, TypeError) as error:
        raise UnmeasurableError("its row does not describe a run") from error
    if run.id != row["run_id"]:
        raise UnmeasurableError(f"its row describes the run {run.id}, as when another latentbench has stored it")
    return run


def assembly_of(run: Run, registry: Registry) -> Assembly:
    """The parts of a stored run, which are those that it was trained with, on the data that it was trained on.

    Raises:
        UnmeasurableError: a part has another version, or the data files are others.
        UserError: a part is missing, or its data files are.
    """
    assembly = assemble(run, registry)
    problem = other_parts(run, registry) or other_data(run, assembly)
    if problem:
        raise UnmeasurableError(problem)
    return assembly


def other_parts(run: Run, registry: Registry) -> str:
    """In which version of a part the one that a run was trained with differs from the installed one, as a clause; empty where none does.

    Raises:
        UserError: a part is missing.
    """
    here = versions(parts_of(run, registry), run.device)
    for part, version in run.plugins.items():
        if here.get(part) != version:
            kind, _, name = part.partition(":")
            found = f"version {here[part]} is installed" if part in here else "it is not one of its parts here"
            return f"it was trained with {kind} '{name}' version {version}, and {found}"
    return ""


def other_data(run: Run, assembly: Assembly) -> str:
    """Which data files of a run are not those that it was trained on, as a clause; empty where all are.

    Raises:
        UserError: a file is missing.
    """
    now = dict(cast("DataSet", assembly.dataset).sources())
    files = sorted(name for name in now.keys() | run.sources.keys() if now.get(name) != run.sources.get(name))
    return f"it was trained on other data: {', '.join(files)} changed" if files else ""


def _check_device(run: Run, device: str) -> None:
    """A model is measured where it was trained, as a suite would: rounding differs between devices."""
    if run.device != device:
        raise UnmeasurableError(f"it was trained on {run.device}, and this engine measures on {device}")


def _check_model(run_id: str, models: set[str]) -> None:
    if run_id not in models:
        raise UnmeasurableError("its model is not stored; its suite with --force trains it again")


def _inapplicable(asked: AskedEvaluation, run: Run, assembly: Assembly, models: set[str]) -> LeftOut | None:
    """Why an evaluation cannot measure a run."""
    reason = asked.left_out(assembly)
    if reason is not None:
        return LeftOut(run.id, str(asked.plan), reason, mendable=False)
    lacking = [share for share in asked.checkpoints if share != 1 and f"{run.id}@{share:g}" not in models]
    if lacking:
        shares = ", ".join(f"{share:g}" for share in lacking)
        return LeftOut(run.id, str(asked.plan), f"it needs the model after the shares {shares} of its training, which were not kept")
    return None
