"""One run, from its description to its rows in the store. Engines call this in a process of its own; Python callers can call it directly."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

from latentbench.data.dataset import DataSet, load
from latentbench.errors import UserError
from latentbench.evaluation.trained import Trained
from latentbench.execution.control import UNWATCHED, Control, InterruptedRunError
from latentbench.execution.evaluate import evaluate
from latentbench.execution.fit import Fitted, fit
from latentbench.execution.job import Job
from latentbench.execution.leases import LeaseLostError
from latentbench.execution.rows import origin_of, peak_memory, store_failure
from latentbench.failure import NO_FAILURE, Failure
from latentbench.files import cache_folder, cannot_store
from latentbench.models.model import build_model
from latentbench.models.numerics import torch_dtype
from latentbench.part import Assembly, Part
from latentbench.plugin_files import with_stored
from latentbench.registry import Registry
from latentbench.results.provenance import changed, sources_of
from latentbench.results.store import Store
from latentbench.suites.resolve import assemble, parts_of, versions
from latentbench.training.train import plan_steps


class OtherCodeError(UserError):
    """This process has other code than the run was planned with, so it does not execute it; nothing is stored, and no failure of the run."""


def execute(job: Job, registry: Registry, store: Store, device: str, control: Control = UNWATCHED) -> Failure | None:
    """Train, evaluate and store a run. Failures of the run are stored in its row, and returned; None means that it is done.

    A run that was trained stays so when an evaluation fails: its status is `done`, its failure kind `evaluation`, and the others are kept. Training
    resumes from a stored state that this code has made; the state is removed when the run's row is there.

    Args:
        job: the run and its evaluations.
        registry: where its parts are, but for those of plugin files, which are in the results folder.
        store: where its rows go.
        device: `cpu`, or `cuda:N`; of the type that the run's identity says.
        control: is told of progress, and says when to stop.

    Raises:
        InterruptedRunError: `control` said so.
        OtherCodeError: the parts of this process have other versions than the run's id says, its sources are not those it was planned with, or the
            copy of a plugin file that it uses is missing or was changed.
        LeaseLostError: another owner has taken the run over; the store's fence raises it.
        OSError: nothing can be stored any more, which is no failure of the run.
    """
    start = time.monotonic()
    registry = registry_for(job, registry, store.path)
    check_code(job, registry)
    origin = origin_of(job.run, device)
    control.began(origin)
    try:
        fitted, errors = _computed(job, registry, store, device, control)
    except Exception as error:  # whatever went wrong in a run is a result of that run
        if isinstance(error, (InterruptedRunError, OtherCodeError, LeaseLostError, *control.unstored)) or cannot_store(error):
            raise
        failure = Failure.of(error)
        store_failure(job, failure, store, {**origin, "wall_seconds": time.monotonic() - start})
        if not job.trained:
            store.forget_state(job.run.id)  # from there it would fail again
        return failure
    failed = Failure.of_evaluations(errors) if errors else None
    outcome = {"status": "done", "evaluated": datetime.now(UTC), **(NO_FAILURE if failed is None else failed.to_row())}
    if fitted is not None:
        seconds = {"wall_seconds": time.monotonic() - start + fitted.earlier}
        outcome |= {**job.run.to_row(), **origin, **fitted.columns, **seconds, **peak_memory(device)}
    store.update_run(job.run.id, outcome)
    store.forget_state(job.run.id)
    return failed


def _computed(job: Job, registry: Registry, store: Store, device: str, control: Control) -> tuple[Fitted | None, Mapping[str, Exception]]:
    """Train the model, or read it, and measure it: what is known of the training, and the evaluations that failed."""
    assembly = assemble(job.run, registry)
    splits = load(cast("DataSet", assembly.dataset), cache_folder())
    splits = splits if job.run.limit_data == 1 else splits.limited(job.run.limit_data)
    make = partial(build_model, seed=job.run.seed, device=device, dtype=torch_dtype(job.run.dtype), compiled=bool(job.run.compile))
    model, fitted = make(assembly), None
    if job.trained:
        model.load_state_dict(store.read_checkpoint(job.run.id))
    else:
        fitted = fit(job.run, assembly, model, splits.train, store, control, job.keep_checkpoints)
    _, _, steps = plan_steps(job.run.train_settings, len(splits.train.images))
    trained = Trained(model, splits, job.run.seed, make=make, read=partial(store.read_checkpoint, job.run.id), steps=steps)
    errors = evaluate(trained, job.run.id, job.evaluations, registry, store, control.unstored)
    _check_sources(job, assembly, registry)  # with what was imported meanwhile
    return fitted, errors


def registry_for(job: Job, registry: Registry, results: Path) -> Registry:
    """The registry with those parts of a run and its evaluations that come from plugin files, whose copies the results folder has.

    Raises:
        OtherCodeError: a copy is missing, or was changed.
    """
    try:
        return with_stored(registry, results, job.run.plugins, *(evaluation.versions for evaluation in job.evaluations))
    except UserError as error:
        raise OtherCodeError(f"run {job.run.id}: {error}") from error


def check_code(job: Job, registry: Registry) -> None:
    """Make sure that this process has the parts that a run's id speaks of, and the code that it was planned with.

    Raises:
        OtherCodeError: a part, or the numerics of CUDA, has another version here, or a source file differs. A part that is missing here is no
            matter of this: it fails the run.
    """
    run = job.run
    try:
        here = versions(parts_of(run, registry), run.device)
        assembly = assemble(run, registry)
    except UserError:
        return
    for part, version in run.plugins.items():
        if here.get(part, version) != version:
            kind, _, name = part.partition(":")
            raise OtherCodeError(f"run {run.id} is of {kind} '{name}' version {version}, and version {here[part]} is installed here")
    _check_sources(job, assembly, registry)


def _check_sources(job: Job, assembly: Assembly, registry: Registry) -> None:
    """Raise an OtherCodeError if the code of this process is not the one that a run was planned with."""
    parts: list[type[Part]] = []
    for evaluation in job.evaluations:
        with suppress(UserError):  # a part that is missing here fails the evaluation
            parts += evaluation.parts(registry)
    files = changed(job.sources, sources_of(assembly, parts))
    if files:
        raise OtherCodeError(f"run {job.run.id} was planned with other code than this process has: {', '.join(files)} changed; run the suite again")
