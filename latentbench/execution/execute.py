"""One run, from its description to its rows in the store. Engines call this in a process of its own; Python callers can call it directly."""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import torch

from latentbench.data.cache import cache_folder
from latentbench.data.dataset import DataSet, Splits, load
from latentbench.errors import MissingPluginError, NonFiniteError, UserError, failure_line
from latentbench.evaluation.trained import Trained
from latentbench.execution.evaluate import evaluate
from latentbench.execution.job import Job
from latentbench.execution.leases import LeaseLostError
from latentbench.files import cannot_store
from latentbench.models.model import Model, build_model
from latentbench.models.numerics import set_numerics, torch_dtype
from latentbench.part import Assembly
from latentbench.registry import Registry
from latentbench.results.provenance import changed, environment, git_state, hardware, sources_of, training_sources
from latentbench.results.state_code import other_code, with_code
from latentbench.results.store import EVALUATION_FAILED, Store
from latentbench.results.tables import SETTINGS
from latentbench.suites.expand import Unplanned
from latentbench.suites.resolve import assemble, parts_of, versions
from latentbench.suites.settings import Run
from latentbench.training.train import new_state, plan_steps, train

MISSING_PLUGIN = "missing plugin"
FAILURE_KINDS = ("error", "non-finite", "out-of-memory", "timeout", "killed", MISSING_PLUGIN, EVALUATION_FAILED)
"""What a failed run's row may say of why."""
SAVE_EVERY = 60.0
"""Seconds between two savings of a run's training state."""
Report = Callable[[int, int], None]
"""Called after every step with steps done and steps in all."""


class InterruptedRunError(Exception):
    """A run was asked to stop; its training state is stored."""


class OtherCodeError(UserError):
    """This process has other code than the run was planned with, so it does not execute it; nothing is stored, and no failure of the run."""


def execute(
    job: Job,
    registry: Registry,
    store: Store,
    device: str,
    report: Report = lambda step, steps: None,
    stopping: Callable[[], bool] = lambda: False,
    save_every: float = SAVE_EVERY,
    unstored: tuple[type[BaseException], ...] = (),
    began: Callable[[Mapping[str, Any]], None] = lambda row: None,
) -> str | None:
    """Train, evaluate and store a run. Failures of the run are stored in its row, and returned in one line; None means that it is done.

    A run that was trained stays so when an evaluation fails: its status is `done`, its failure kind `evaluation`, and the others are kept. Training
    resumes from a stored state that this code has made; the state is removed when the run's row is there.

    Args:
        job: the run and its evaluations.
        registry: where its parts are.
        store: where its rows go.
        device: `cpu`, or `cuda:N`; of the type that the run's identity says.
        report: told of progress.
        stopping: asked after every step whether to store the state and stop.
        save_every: seconds between two savings of the training state.
        unstored: exceptions that the caller deals with, as it may try again; they are raised, and no failure is stored.
        began: told at the start the columns of the run's row that say where and when it runs, for the case that this process cannot store them.

    Raises:
        InterruptedRunError: `stopping` said so.
        OtherCodeError: the parts of this process have other versions than the run's id says, or its sources are not those it was planned with.
        LeaseLostError: another owner has taken the run over; the store's fence raises it.
        OSError: nothing can be stored any more, which is no failure of the run.
    """
    start = time.monotonic()
    check_code(job, registry)
    origin = origin_of(job.run, device)
    began(origin)
    row: dict[str, Any]
    trained: dict[str, Any] = {}
    earlier = 0.0
    try:
        assembly = assemble(job.run, registry)
        splits = _limited(load(cast("DataSet", assembly.dataset), cache_folder()), job.run.limit_data)
        dtype = torch_dtype(job.run.dtype)
        model = build_model(assembly, job.run.seed, device, dtype, bool(job.run.compile))
        if job.trained:
            model.load_state_dict(store.read_checkpoint(job.run.id))
        else:
            trained, earlier = _train(job, assembly, model, splits, store, report, stopping, save_every)
        failures = evaluate(Trained(model, splits, job.run.seed), job.run.id, job.evaluations, registry, store, unstored)
        _check_sources(job, assembly, registry)  # with what was imported meanwhile
    except Exception as error:  # whatever went wrong in a run is a result of that run
        if isinstance(error, (InterruptedRunError, OtherCodeError, LeaseLostError, *unstored)) or cannot_store(error):
            raise
        row = {**described(job.run), **origin, "wall_seconds": time.monotonic() - start, **failure(error)}
        if job.trained:
            store.update_run(job.run.id, {"failure_kind": EVALUATION_FAILED, "failure_message": row["failure_message"]})
        else:
            store.write_rows("runs", job.run.id, [row])
            store.forget_state(job.run.id)  # from there it would fail again
        return _in_a_line(row)
    row = {
        "status": "done",
        "evaluated": datetime.now(UTC),
        "failure_kind": EVALUATION_FAILED if failures else None,
        "failure_message": _of_evaluations(failures) if failures else None,
    }
    if not job.trained:
        row |= {**described(job.run), **origin, **trained, "cost": assembly.family.cost}
        row |= {"wall_seconds": time.monotonic() - start + earlier, **_peak_memory(device)}
    store.update_run(job.run.id, row)
    store.forget_state(job.run.id)
    return _in_a_line(row) if failures else None


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
    known = registry.parts["evaluations"]
    files = changed(job.sources, sources_of(assembly, [registry.evaluation(e.name) for e in job.evaluations if e.name in known]))
    if files:
        raise OtherCodeError(f"run {job.run.id} was planned with other code than this process has: {', '.join(files)} changed; run the suite again")


def origin_of(run: Run, device: str) -> dict[str, Any]:
    """Columns of a run's row that say when, where and by what it is computed, as it begins; sets the numerics of this process."""
    numerics = set_numerics(run.dtype, device)
    return {"started": datetime.now(UTC), **provenance(device), "numerics": json.dumps(numerics)}


def _of_evaluations(failures: Mapping[str, Exception]) -> str:
    """The tracebacks of failures, but for our own errors, which say all; then a line with every reason and the evaluations that have it."""
    reasons: dict[str, list[str]] = {}
    tracebacks = []
    for name, error in failures.items():
        ours = isinstance(error, (UserError, NonFiniteError))
        tracebacks += [] if ours else [f"{name}: {traceback_of(error)}"]
        reasons.setdefault(" ".join((str(error) if ours else f"{type(error).__name__}: {error}").split()), []).append(name)
    return "\n".join([*tracebacks, "; ".join(f"evaluation {', '.join(names)}: {reason}" for reason, names in reasons.items())])


def failure(error: BaseException) -> dict[str, Any]:
    """The columns of a failed run."""
    return {"status": "failed", "failure_kind": _kind(error), "failure_message": traceback_of(error)}


def traceback_of(error: BaseException) -> str:
    """The end of an exception's traceback."""
    return "".join(traceback.format_exception(error)[-4:])


def _in_a_line(row: Mapping[str, Any]) -> str:
    return failure_line(row["failure_kind"], row["failure_message"])


def store_blocked(items: Sequence[Unplanned], store: Store) -> None:
    """Store the rows of combinations whose plugin could not be loaded; rows of others that once were so are removed."""
    states = store.run_states()
    for run_id, row in states.items():
        if row["failure_kind"] == MISSING_PLUGIN:
            store.forget(run_id)
    for item in items:
        settings = {key: value for key, value in item.settings.items() if key in {*SETTINGS, "seed"}}
        settings = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in settings.items()}
        row = {"run_id": item.id, **settings, "status": "failed", "failure_kind": MISSING_PLUGIN, "failure_message": item.reason}
        store.write_rows("runs", item.id, [{**row, "started": datetime.now(UTC)}])


def described(run: Run) -> dict[str, Any]:
    """The settings columns of a run's row."""
    settings = run.model_dump(mode="json")
    settings["dataset_sources"] = settings.pop("sources")  # in the table `sources` are those of the code
    return {"run_id": run.id, **{key: json.dumps(value, sort_keys=True) if isinstance(value, dict) else value for key, value in settings.items()}}


def provenance(device: str) -> dict[str, Any]:
    """The columns that say where a run's numbers come from."""
    sha, dirty = git_state()
    return {
        "versions": json.dumps(environment()),
        **hardware(device),
        "git_sha": sha,
        "git_dirty": dirty,
    }


def _train(
    job: Job, assembly: Assembly, model: Model, splits: Splits, store: Store, report: Report, stopping: Callable[[], bool], save_every: float
) -> tuple[dict[str, Any], float]:
    """Train to the end and store the model; columns of the run's row, and the seconds spent before the state that it was resumed from."""
    run = job.run
    training, sources = run.train_settings, training_sources(assembly)
    data = splits.train.to(model.device, model.dtype)
    state = new_state(model, training, run.seed)
    saved = store.read_state(run.id)
    other = other_code(saved, sources) if saved is not None else []
    if other:
        warnings.warn(f"the training state of run {run.id} was made by other code ({', '.join(other)}): the run starts anew", stacklevel=2)
    elif saved is not None:
        state.load(saved)
    _, _, steps = plan_steps(training, len(data.images))
    earlier, before = state.seconds, state.device_seconds
    start, last, clock = time.monotonic() - earlier, time.monotonic(), _DeviceClock(model.device)
    for now in train(state, data, run):
        report(now.step, steps)
        stop = stopping()
        if stop or time.monotonic() - last > save_every:
            last = time.monotonic()
            state.seconds, state.device_seconds = last - start, before + clock.seconds()
            store.write_state(run.id, with_code(state.tensors(), sources))
        if stop:
            raise InterruptedRunError
    seconds, device_seconds = time.monotonic() - start, before + clock.seconds()
    store.forget(run.id)
    store.write_rows("history", run.id, [{"run_id": run.id, "step": s, "name": n, "value": v} for s, n, v in state.history])
    store.write_checkpoint(run.id, model.state_dict())
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    row = {"steps": steps, "train_seconds": seconds, "device_seconds": device_seconds, "steps_per_second": steps / seconds, "parameters": parameters}
    return {**row, "sources": json.dumps(training_sources(assembly))}, earlier


class _DeviceClock:
    """Seconds of the device: on the CPU the time that this process had of it, on CUDA the time between two events on its stream."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.start = self._now()

    def seconds(self) -> float:
        """Since this clock was made; waits for the device."""
        now = self._now()
        if not isinstance(now, torch.cuda.Event):
            return now - cast("float", self.start)
        now.synchronize()
        return float(cast("torch.cuda.Event", self.start).elapsed_time(now)) / 1000  # it tells milliseconds

    def _now(self) -> float | torch.cuda.Event:
        if not self.cuda:
            return time.process_time()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _limited(splits: Splits, fraction: float) -> Splits:
    if fraction == 1:
        return splits
    return Splits(*(None if split is None else split.limited(fraction) for split in (splits.train, splits.validation, splits.test)))  # type: ignore[arg-type]  # only `test` may be None


def _kind(error: BaseException) -> str:
    if isinstance(error, NonFiniteError):
        return "non-finite"
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return "out-of-memory"
    if isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error):
        return "out-of-memory"  # torch has no type for that
    return MISSING_PLUGIN if isinstance(error, MissingPluginError) else "error"


def _peak_memory(device: str) -> dict[str, int | None]:
    """Most bytes that this process has had: of the host (its resident set), and of the GPU."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    host = peak if sys.platform == "darwin" else peak * 1024  # kilobytes on Linux
    return {"peak_memory_bytes": host, "device_peak_memory_bytes": torch.cuda.max_memory_reserved(device) if device.startswith("cuda") else None}
