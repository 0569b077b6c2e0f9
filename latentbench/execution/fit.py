"""Training of a run, from the state that the store has of it to the trained model in the store."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch

from latentbench.data.dataset import Split
from latentbench.execution.control import Control, InterruptedRunError
from latentbench.imported import Sources
from latentbench.models.model import Model
from latentbench.part import Assembly
from latentbench.results.provenance import training_sources
from latentbench.results.state_code import other_code, with_code
from latentbench.results.store import Store
from latentbench.suites.settings import Run
from latentbench.training.state import TrainingState, new_state
from latentbench.training.train import plan_steps, train


@dataclass(frozen=True)
class Fitted:
    """What a run's row says of its training, and the seconds before the state that it was resumed from."""

    columns: Mapping[str, Any]
    earlier: float


def fit(run: Run, assembly: Assembly, model: Model, data: Split, store: Store, control: Control, keep: Sequence[float] = ()) -> Fitted:
    """Train to the end and store the model, and those after the shares `keep` of the training.

    Raises:
        InterruptedRunError: the run was asked to stop; its state is stored.
    """
    sources = training_sources(assembly)
    data = data.to(model.device, model.dtype)
    state = _resumed(run, model, sources, store)
    _, _, steps = plan_steps(run.train_settings, len(data.images))
    earlier, clock, saved = state.seconds, _Clock(state), time.monotonic()
    _keep(state, steps, keep, run, store)
    for _ in train(state, data, run):
        _keep(state, steps, keep, run, store)
        control.report(state.step, steps)
        stop = control.stopping()
        if stop or time.monotonic() - saved > control.save_every:
            saved = time.monotonic()
            clock.read()
            store.write_state(run.id, with_code(state.tensors(), sources))
        if stop:
            raise InterruptedRunError
    clock.read()
    store.forget(run.id)
    store.write_rows("history", run.id, [{"run_id": run.id, "step": s, "name": n, "value": v} for s, n, v in state.history])
    store.write_checkpoint(run.id, model.state_dict())
    columns = {
        "cost": assembly.family.cost,
        "cost_constant": float(model.likelihood.constant),
        "steps": steps,
        "train_seconds": state.seconds,
        "device_seconds": state.device_seconds,
        "steps_per_second": steps / state.seconds,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "sources": json.dumps(training_sources(assembly)),  # with what was imported meanwhile
    }
    return Fitted(columns, earlier)


def _keep(state: TrainingState, steps: int, shares: Sequence[float], run: Run, store: Store) -> None:
    """Keep the model if the training is at one of the shares; the trained model is kept anyway."""
    for share in shares:
        if share < 1 and state.step == round(share * steps):
            store.keep(run.id, share, state.model.state_dict())


def _resumed(run: Run, model: Model, sources: Sources, store: Store) -> TrainingState:
    """The state to train from: the stored one, if this code has made it, or a new one."""
    state, saved = new_state(model, run.train_settings, run.seed), store.read_state(run.id)
    other = other_code(saved, sources) if saved is not None else []
    if other:
        warnings.warn(f"the training state of run {run.id} was made by other code ({', '.join(other)}): the run starts anew", stacklevel=3)
    elif saved is not None:
        state.load(saved)
    return state


class _Clock:
    """Seconds that a training has taken, by the wall and by the device; those before it was resumed count.

    The device's are, on the CPU, the time that this process had of it, on CUDA the time between two events on its stream.
    """

    def __init__(self, state: TrainingState) -> None:
        self.state, self.cuda = state, state.model.device.type == "cuda"
        self.before = state.seconds, state.device_seconds
        self.began, self.start = time.monotonic(), self._now()

    def read(self) -> None:
        """Set the seconds of the state; waits for the device."""
        now = self._now()
        if isinstance(now, torch.cuda.Event):
            now.synchronize()
            seconds = float(cast("torch.cuda.Event", self.start).elapsed_time(now)) / 1000  # it tells milliseconds
        else:
            seconds = now - cast("float", self.start)
        self.state.seconds = self.before[0] + time.monotonic() - self.began
        self.state.device_seconds = self.before[1] + seconds

    def _now(self) -> float | torch.cuda.Event:
        if not self.cuda:
            return time.process_time()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
