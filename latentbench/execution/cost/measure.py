"""Measures one kind of run: builds it as a run is built, times some of its steps and evaluations, and stores nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch

from latentbench.data.dataset import DataSet, Split, Splits, load
from latentbench.evaluation.trained import Trained
from latentbench.execution.cost.clock import Clock, middle, timed
from latentbench.execution.cost.measured import Measured
from latentbench.execution.rows import peak_memory
from latentbench.failure import Failure
from latentbench.files import cache_folder
from latentbench.models.model import Model, build_model
from latentbench.models.numerics import set_numerics, torch_dtype
from latentbench.neutral import with_neutral
from latentbench.part import Assembly
from latentbench.plugin_files import with_files
from latentbench.registry import Registry, load_registry
from latentbench.streams import stream
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.resolve import assemble
from latentbench.suites.settings import Run
from latentbench.training.state import TrainingState, new_state
from latentbench.training.train import plan_steps, train

BEFORE_THE_END = 200
"""Steps before the last one at which the end of a training is timed."""
FIRST_SHARE, FIRST_IMAGES = 1 / 256, 64
"""The share of the images, and the validation images at least, that evaluations are timed on first; the share doubles until `LONG_ENOUGH`."""
LONG_ENOUGH = 0.5
"""Seconds of evaluations from which the rest is extrapolated."""
COLD = 5.0
"""Seconds of a first call from which it counts: what it loads takes less."""


def measure(run: Run, evaluations: Sequence[EvaluationPlan], plugins: Sequence[Path], device: str) -> Measured:
    """The cost of a run of this kind on `device`, in a process that does nothing else.

    Raises:
        Exception: whatever the run would fail with.
    """
    set_numerics(run.dtype, device)
    registry, clock = with_files(load_registry(), plugins), Clock(device)
    assembly = assemble(run, registry)
    splits = load(cast("DataSet", assembly.dataset), cache_folder())
    splits = splits.limited(run.limit_data) if run.limit_data != 1 else splits
    model = _made(run, device, assembly)
    state, data = new_state(model, run.train_settings, run.seed), splits.train.to(device, model.dtype)
    steps, training = plan_steps(run.train_settings, len(data.images))[2], train(state, data, run)
    next(training)  # which is checked, and loads and compiles what later steps have ready
    setup = clock.read()
    start = timed(training, device)
    end = _at_the_end(state, data, run, steps, device)
    seconds, share, problem = _evaluations(run, model, splits, evaluations, registry, device)
    memory = peak_memory(device)
    capacity = torch.cuda.mem_get_info(device)[1] if device.startswith("cuda") else None
    return Measured(
        images=len(data.images),
        setup=setup,
        start=middle(start, setup),
        end=middle(end or start, setup),
        timed=len(start) + len(end),
        evaluation=seconds,
        share=share,
        problem=problem,
        memory=memory["peak_memory_bytes"] or 0,
        device_memory=memory["device_peak_memory_bytes"],
        capacity=capacity,
    )


def _made(run: Run, device: str, assembly: Assembly) -> Model:
    return build_model(assembly, run.seed, device, torch_dtype(run.dtype), bool(run.compile))


def _at_the_end(state: TrainingState, data: Split, run: Run, steps: int, device: str) -> list[float]:
    """Seconds of steps at the end of the schedules, with the model as it is: its parameters are not those of the end."""
    if steps - state.step < BEFORE_THE_END:
        return []
    state.step, state.window = steps - BEFORE_THE_END, {}
    training = train(state, data, run)
    next(training)
    return timed(training, device)


def _evaluations(
    run: Run, model: Model, splits: Splits, evaluations: Sequence[EvaluationPlan], registry: Registry, device: str
) -> tuple[float | None, float, str]:
    """Seconds of all evaluations, the share of the images that they were timed on, and why they could not be measured."""
    model.eval()
    found: list[tuple[float, float]] = []
    share = min(1.0, max(FIRST_SHARE, FIRST_IMAGES / len(splits.validation.images)))
    once = partial(_once, run, model, evaluations=evaluations, registry=registry, device=device)
    try:
        while len(found) < 2 or found[-1][1] < LONG_ENOUGH:
            part = splits.limited(share) if share < 1 else splits
            seconds = once(part)
            found.append((share, seconds if found or seconds > COLD else once(part)))
            if share == 1:
                return found[-1][1], share, ""
            share = min(1.0, 2 * share)
    except Exception as error:  # foreign code may fail in any way on an untrained model; what the training costs is known
        return None, 0.0, str(Failure.of(error))
    return _extrapolated(*found[-2:]), found[-1][0], ""


def _extrapolated(before: tuple[float, float], last: tuple[float, float]) -> float:
    """Seconds on all images, by the line through two (share, seconds): what does not depend on the images, and what each of them takes.

    A power of the number of images would fit one evaluation better and many together worse: noise and fixed costs bend it.
    """
    slope = max(0.0, last[1] - before[1]) / (last[0] - before[0])
    return last[1] + slope * (1 - last[0])


def _once(run: Run, model: Model, splits: Splits, evaluations: Sequence[EvaluationPlan], registry: Registry, device: str) -> float:
    """Seconds of all evaluations of the model, which share its codes."""
    clock = Clock(device)
    trained = Trained(model, splits, run.seed, make=partial(_made, run, device), read=lambda share: model.state_dict())
    for item in evaluations:
        part = registry.evaluation(item.name)
        evaluation = part(part.options_model.model_validate(with_neutral(part.options_model, item.options)))
        evaluation.evaluate(trained.allowing(item.built(registry)), stream(run.seed, "evaluation", item.id))
    return clock.read()
