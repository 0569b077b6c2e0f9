"""Training: one loop over a state that can be saved and restored at any step.

A run that goes on from a saved state gives, on the CPU with one thread, bit for bit what it would have given undisturbed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from latentbench.data.dataset import Split
from latentbench.errors import NonFiniteError, UserError
from latentbench.models.guards import guarded
from latentbench.models.model import Model
from latentbench.models.objective import Step
from latentbench.streams import forked, seed_of, stream
from latentbench.suites.settings import SHORTER, Run, Training
from latentbench.training.schedules import Schedules

READ_EVERY = 50
"""Steps between two readings of the history: one transfer from the device each."""


@dataclass
class TrainingState:
    """Everything that changes while a run trains: what is saved, and from what training goes on."""

    model: Model
    optimizer: Optimizer
    noise: Generator
    step: int = 0
    seconds: float = 0.0  # spent in training, by the clock
    device_seconds: float = 0.0  # and by the device's
    window: dict[str, Tensor] = field(default_factory=dict)  # sums over the steps since the last reading
    history: list[tuple[int, str, float]] = field(default_factory=list)

    def tensors(self) -> dict[str, Tensor]:
        """The state as named tensors, for safetensors."""
        saved = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            saved |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in slots.items() if value is not None}
        saved |= {f"window.{name}": value for name, value in self.window.items()}
        saved["noise"] = self.noise.get_state()
        saved["step"] = torch.tensor(self.step)
        saved["seconds"] = torch.tensor([self.seconds, self.device_seconds], dtype=torch.float64)
        saved["history"] = torch.frombuffer(bytearray(json.dumps(self.history).encode()), dtype=torch.uint8)
        return {name: value.detach().clone() for name, value in saved.items()}

    def load(self, saved: Mapping[str, Tensor]) -> None:
        """Go back to a saved state."""
        device = self.model.device
        self.model.load_state_dict({name.removeprefix("model."): value for name, value in saved.items() if name.startswith("model.")})
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in saved.items():
            if name.startswith("optimizer."):
                _, index, slot = name.split(".")
                slots.setdefault(int(index), {})[slot] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})
        self.window = {name.removeprefix("window."): value.to(device) for name, value in saved.items() if name.startswith("window.")}
        self.noise.set_state(saved["noise"].cpu())
        self.step = int(saved["step"])
        self.seconds, self.device_seconds = saved["seconds"].tolist()
        self.history = [(step, name, value) for step, name, value in json.loads(bytes(saved["history"].cpu().tolist()))]


def new_state(model: Model, training: Training, seed: int) -> TrainingState:
    """The state before the first step."""
    model.family.constrain(model.decoder)
    return TrainingState(model, make_optimizer(model, training), stream(seed, "sampling noise", device=model.device))


def make_optimizer(model: Model, training: Training) -> Optimizer:
    """The optimiser of all trained parameters. Weight decay is an L2 penalty added to the gradient."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    settings: dict[str, Any] = {"lr": training.learning_rate, "weight_decay": training.weight_decay, "foreach": True}
    makers = {"adamax": torch.optim.Adamax, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimizer: Optimizer = makers[training.optimizer](parameters, **settings)
    return optimizer


def plan_steps(training: Training, images: int) -> tuple[int, int, int]:
    """Batch size, steps an epoch and steps of the run, for so many training images; an epoch's last, smaller batch is dropped.

    Raises:
        UserError: the warm-up is as long as the run.
    """
    batch = min(training.batch_size, images)
    per_epoch = images // batch
    steps = training.steps or max(1, round((training.epochs or 0) * per_epoch))
    warmup = training.warmup.in_steps(steps, per_epoch)
    if steps > 1 and warmup >= steps:
        raise UserError(f"training: a warm-up of {training.warmup}, {warmup:g} steps, takes the whole run of {steps} steps; {SHORTER}")
    return batch, per_epoch, steps


def train(state: TrainingState, data: Split, run: Run) -> Iterator[TrainingState]:
    """Train from `state` to the end of the run, yielding the state after every step.

    Args:
        state: where to start; it is changed in place.
        data: the training images, on the model's device.
        run: its training settings, KL weight, and seed, which decides the order of the data.

    Raises:
        UserError: in the first batch, a part returned something else than its contract says.
        NonFiniteError: a loss was not finite; noticed within `READ_EVERY` steps, and at once in the first batch.
    """
    batch, per_epoch, steps = plan_steps(run.train_settings, len(data.images))
    schedules = Schedules(run.train_settings, run.beta if run.beta is not None else 1.0, steps, per_epoch)
    model, optimizer = state.model, state.optimizer
    parameters = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("estimator.")]
    model.train()
    first = state.step
    order = _order(run.seed, state.step // per_epoch, len(data.images), model.device)
    while state.step < steps:
        step = state.step
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order = _order(run.seed, epoch, len(data.images), model.device)
            model.family.begin_epoch(epoch, steps / per_epoch)
        images = data.images.index_select(0, order[place * batch : (place + 1) * batch])  # [B, 1, H, W]
        kl_weight, temperature, final = schedules.kl_weight(step), schedules.temperature(step), schedules.temperature_is_final(step)
        now = guarded(model) if step == first else model
        with forked(seed_of(run.seed, "network noise", step), model.device):  # dropout draws from torch's global state
            code = now.encode(images)
            now.family.observe(code)
            loss = now.loss(Step(images, code, now.family, now.decoder, now.likelihood, kl_weight, temperature, final, state.noise))
        optimizer.zero_grad(set_to_none=True)
        loss.surrogate.backward()
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = get_total_norm(gradients)
        limit = schedules.clip_norm(step)
        if limit is not None:
            clip_grads_with_norm_(parameters, limit, norm)
        learning_rate = schedules.learning_rate(step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        model.family.constrain(model.decoder)

        _add(state.window, {"surrogate": loss.surrogate, "gradient_norm": norm, **{name: value.mean() for name, value in loss.reported.items()}})
        state.step += 1
        if state.step % READ_EVERY == 0 or state.step == steps:
            _read(state, {"learning_rate": learning_rate, "beta": kl_weight, "temperature": temperature})
        yield state


def _order(seed: int, epoch: int, images: int, device: torch.device) -> Tensor:
    """The order of the data in an epoch: it depends on the seed alone, so runs with one seed see the same batches."""
    return torch.randperm(images, generator=Generator().manual_seed(seed_of(seed, "data order", epoch))).to(device)


def _add(window: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Add a step's numbers on the device. A number that is not finite makes the sum so, and is found at the next reading."""
    for name, value in values.items():
        window[name] = value.detach().double() if name not in window else window[name] + value.detach()
    window["steps"] = torch.ones((), dtype=torch.float64, device=next(iter(values.values())).device) + window.get("steps", 0)


def _read(state: TrainingState, schedules: Mapping[str, float]) -> None:
    """Append the means since the last reading to the history."""
    names = sorted(state.window.keys() - {"steps"})
    *values, steps = torch.stack([state.window[name] for name in (*names, "steps")]).tolist()
    means = {name: value / steps for name, value in zip(names, values, strict=True)}
    for name, value in means.items():
        if not math.isfinite(value):
            raise NonFiniteError(f"{name} was not finite between steps {state.step - round(steps) + 1} and {state.step}")
    state.history += [(state.step, name, value) for name, value in {**means, **schedules}.items()]
    state.window = {}
