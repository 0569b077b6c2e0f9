"""Measuring stored models without their suite and without training: by name and options, through an engine, as `latentbench run` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from latentbench.data.dataset import DataSet
from latentbench.data.fetch import prepare
from latentbench.engine import NO_LIMITS, Limits
from latentbench.errors import UserError, shortened
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.execution.measurable import LeftOut, measurable
from latentbench.execution.progress import Progress
from latentbench.execution.work import Work
from latentbench.plugin_files import keep, with_files
from latentbench.registry import Registry, load_registry
from latentbench.reporting.text import plain
from latentbench.results.lookup import stored
from latentbench.results.snapshot import Snapshot
from latentbench.results.states import with_sources, with_states
from latentbench.runner import MISSING, Selection, execute_all, longest_first, tell_undone
from latentbench.suites.asked_evaluation import AskedEvaluation, asked_for
from latentbench.suites.launch import Launch, choose_engine
from latentbench.suites.plan import Plan, Planned
from latentbench.suites.sweep import EvaluationSpec

NAME = "evaluate"
"""What the queue of a results folder says of who asks for these runs, in place of a suite."""
MAX_RUNS_SHOWN = 3
"""How many runs that are left out for one reason are named."""
EVERYTHING: Mapping[str, Sequence[Any]] = {}
DEFAULT_ENGINE = Launch()


@dataclass(frozen=True)
class Measurements:
    """What there is to measure: the runs that some of the asked evaluations can be measured on, the jobs that do it, and what is left out."""

    items: Sequence[Planned]
    jobs: Sequence[Job]
    left_out: Sequence[LeftOut]


def measure_runs(
    results: Path | str,
    evaluations: Sequence[EvaluationSpec],
    launch: Launch = DEFAULT_ENGINE,
    only: Mapping[str, Sequence[Any]] = EVERYTHING,
    selection: Selection = MISSING,
    limits: Limits = NO_LIMITS,
    dry_run: bool = False,
    plugins: Sequence[Path] = (),
) -> int:
    """Measure stored models, and print what is measured already, what cannot be measured and why; return how many runs failed or could not be.

    Args:
        results: the results folder, of any number of suites.
        evaluations: what is measured; their ids are those that a suite would give them.
        launch: the engine.
        only: the values that settings of the runs may have.
        selection: whether stale models are measured (`accept`), what other code has measured is measured again (`refresh`), and runs of which an
            evaluation has failed are measured (`retry`). Nothing is trained.
        limits: of time and failures.
        dry_run: only print what would be measured.
        plugins: files whose evaluations are used without packaging.

    Raises:
        UserError: an evaluation, an option, the engine or the folder is wrong, or no run can be measured.
    """
    registry = with_files(load_registry(), plugins)
    engine = choose_engine(launch, None, registry)
    asked = list({one.plan.id: one for one in (asked_for(spec, registry) for spec in evaluations)}.values())
    snapshot = Snapshot.read(stored(Path(results)))
    found = _measurements(snapshot, asked, registry, *measurable(snapshot, asked, registry, engine.device, only), selection)
    if not dry_run:
        engine.check()
        snapshot.store.check_writable()
        keep(registry, snapshot.store.path)
        found = _prepared(found)
    if not found.items:
        reasons = "; ".join(_reasons(found.left_out)) or "it has none"
        raise UserError(f"{results}: no run can be measured: {shortened(reasons, 1000)}")
    mendable = len({item.run_id for item in found.left_out if item.mendable})
    with Progress(engine.detached) as progress:
        for line in _announced(found, asked, dry_run):
            progress.say(line)
        if dry_run:
            return mendable
        Leases(snapshot.store.path / "leases").sweep()
        work = Work(snapshot.store.path, found.jobs, progress.watch(found.jobs), limits)
        execute_all(engine, work, NAME, snapshot)
    progress.summary(snapshot.store.path)
    return work.failures + (tell_undone(engine, work, progress) or 0) + mendable


def _measurements(
    snapshot: Snapshot, asked: Sequence[AskedEvaluation], registry: Registry, items: Sequence[Planned], left_out: list[LeftOut], selection: Selection
) -> Measurements:
    """The jobs for what can be measured and is not yet."""
    plan = with_sources(with_states(Plan(NAME, tuple(items), (), (), None), snapshot, registry), registry)
    jobs, held_back = [], []
    for item in plan.runs:
        job = _job(item, selection)
        if isinstance(job, Job):
            jobs.append(job)
        elif job is not None:
            held_back.append(job)
    without = {item.run_id for item in held_back}
    kept = [item for item in plan.runs if item.run.id not in without]
    return Measurements(kept, longest_first(jobs, snapshot), [*left_out, *held_back])


def _job(item: Planned, selection: Selection) -> Job | LeftOut | None:
    """What to do about a run; why it is not done; None where all is measured already."""
    state = item.state
    wanted = state.lacking + state.outdated if selection.refresh else state.lacking
    if not wanted:
        return None
    if state.other_code and not selection.accept:
        return LeftOut(item.run.id, "", f"{state.reasons[0]}; --accept stale measures it nevertheless")
    if state.failure is not None and not {"all", state.failure.kind} & selection.retry:
        return LeftOut(item.run.id, "", f"it has failed ({state.failure}); --retry {state.failure.kind} measures it")
    return Job(item.run, wanted, trained=True, seen=state.revision, sources=item.sources, label=plain(item.label))


def _prepared(found: Measurements) -> Measurements:
    """The same without the runs whose data cannot be prepared."""
    ahead = {job.run.id for job in found.jobs}
    of_job = {item.run.id: cast("DataSet", item.assembly.dataset) for item in found.items if item.run.id in ahead}
    problems: dict[DataSet, str] = {}
    for dataset in dict.fromkeys(of_job.values()):
        try:
            prepare([dataset])
        except UserError as error:
            problems[dataset] = f"its data are missing or damaged: {error}"
    lost = {run_id: problems[dataset] for run_id, dataset in of_job.items() if dataset in problems}
    return replace(
        found,
        items=[item for item in found.items if item.run.id not in lost],
        jobs=[job for job in found.jobs if job.run.id not in lost],
        left_out=[*found.left_out, *(LeftOut(run_id, "", reason) for run_id, reason in lost.items())],
    )


def _announced(found: Measurements, asked: Sequence[AskedEvaluation], dry_run: bool) -> list[str]:
    """For each evaluation how many runs it measures and has measured; then what is left out; with `dry_run` the runs too."""
    ahead = Counter(evaluation.id for job in found.jobs for evaluation in job.evaluations)
    can = Counter(evaluation.id for item in found.items for evaluation in item.evaluations)
    lines = [f"{one.plan}: {ahead[one.plan.id]} runs to measure, {can[one.plan.id] - ahead[one.plan.id]} measured already" for one in asked]
    again = {(job.run.id, evaluation.id) for job in found.jobs for evaluation in job.evaluations}
    outdated = {item.run.id for item in found.items for evaluation in item.state.outdated if (item.run.id, evaluation.id) not in again}
    lines += [f"{len(outdated)} runs were measured by other code; --refresh stale measures them again"] if outdated else []
    lines += [f"left out: {reason}" for reason in _reasons(found.left_out)]
    if dry_run:
        lines += [f"would measure: {job.run.id} {job.label}: {', '.join(map(str, job.evaluations))}" for job in found.jobs]
    return lines


def _reasons(left_out: Iterable[LeftOut]) -> list[str]:
    """What is left out, those of one reason together, with the first of the runs."""
    groups: dict[tuple[str, str], list[str]] = {}
    for item in left_out:
        groups.setdefault((item.evaluation, item.reason), []).append(item.run_id)
    lines = []
    for (evaluation, reason), runs in groups.items():
        rest = len(runs) - MAX_RUNS_SHOWN
        named = ", ".join(runs[:MAX_RUNS_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
        lines.append(f"{f'{evaluation} of ' if evaluation else ''}{len(runs)} runs: {plain(reason)} ({named})")
    return lines
