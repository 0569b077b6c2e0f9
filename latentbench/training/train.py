"""Training: one loop over a state that can be saved and restored at any step.

A run that resumes from a saved state gives, on the CPU with one thread, bit for bit what it would have given undisturbed; on CUDA only where nothing
is compiled, as the first step after it was resumed is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from latentbench.data.dataset import Split
from latentbench.errors import NonFiniteError, UserError
from latentbench.models.guards import guarded
from latentbench.models.model import Model
from latentbench.models.objective import Loss, Step
from latentbench.streams import forked, seed_of
from latentbench.suites.settings import SHORTER, Run, Training
from latentbench.training.schedules import Schedules
from latentbench.training.state import TrainingState

LOG_EVERY = 50
"""Steps between two entries of the history: one transfer from the device each."""


def plan_steps(training: Training, images: int) -> tuple[int, int, int]:
    """Batch size, steps an epoch and steps of the run, for a number of training images; an epoch's last, smaller batch is dropped.

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
        UserError: in the first batch, a part returned something other than its contract says.
        NonFiniteError: a loss was not finite; noticed within `LOG_EVERY` steps, and at once in the first batch.
    """
    batch, per_epoch, steps = plan_steps(run.train_settings, len(data.images))
    schedules = Schedules(run.train_settings, run.beta if run.beta is not None else 1.0, steps, per_epoch)
    model, first = state.model, state.step
    parameters = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("estimator.")]
    model.train()
    whole = _compiled() if _compiles_losses(run, model.device) else None
    order = _order(run.seed, first // per_epoch, len(data.images), model.device)
    while state.step < steps:
        step = state.step
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            order = _order(run.seed, epoch, len(data.images), model.device)
            model.family.begin_epoch(epoch, steps / per_epoch)
        images = data.images.index_select(0, order[place * batch : (place + 1) * batch])  # [B, 1, H, W]
        kl_weight, temperature, final = schedules.kl_weight(step), schedules.temperature(step), schedules.temperature_is_final(step)
        now = guarded(model) if step == first else model
        loss_of = whole if whole is not None and step > first and schedules.loss_is_settled(step) else _loss
        with forked(seed_of(run.seed, "network noise", step), model.device):  # dropout draws from torch's global state
            loss = loss_of(now, images, step / steps, kl_weight, temperature, final, state.noise)
        learning_rate = schedules.learning_rate(step)
        norm = _descend(loss.surrogate, state.optimizer, parameters, learning_rate, schedules.clip_norm(step))
        model.family.constrain(model.decoder)

        _add(state.window, {"surrogate": loss.surrogate, "gradient_norm": norm, **{name: value.mean() for name, value in loss.reported.items()}})
        state.step += 1
        if state.step % LOG_EVERY == 0 or state.step == steps:
            _log(state, {"learning_rate": learning_rate, "beta": kl_weight, "temperature": temperature})
        yield state


def _loss(model: Model, images: Tensor, progress: float, kl_weight: float, temperature: float, final: bool, noise: Generator) -> Loss:
    """The loss of a batch of images; the family sees their codes."""
    code = model.encode(images, noise, temperature, progress)
    model.family.observe(code)
    return model.loss(Step(images, code, model.family, model.decoder, model.likelihood, kl_weight, temperature, final, noise))


def _compiles_losses(run: Run, device: torch.device) -> bool:
    return bool(run.compile) and device.type == "cuda"


def _compiled() -> Callable[..., Loss]:
    """The loss and its gradient, compiled into CUDA graphs of torch's own making, which end at each draw: that reads the generator's state.

    Python's numbers are part of what is compiled, so this is for steps whose schedules have settled; before them the networks alone are compiled.
    """
    compiled = torch.compile(_loss, mode="reduce-overhead")

    def loss_of(*arguments: Any) -> Loss:
        torch.compiler.cudagraph_mark_step_begin()  # what the last step gave may be overwritten
        return compiled(*arguments)

    return loss_of


def _descend(surrogate: Tensor, optimizer: Optimizer, parameters: Sequence[Parameter], learning_rate: float, limit: float | None) -> Tensor:
    """One step of the optimiser; the norm of the gradient in `parameters`, which is clipped at `limit`."""
    optimizer.zero_grad(set_to_none=True)
    surrogate.backward()
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    if limit is not None:
        clip_grads_with_norm_(parameters, limit, norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    return norm


def _order(seed: int, epoch: int, images: int, device: torch.device) -> Tensor:
    """The order of the data in an epoch: it depends on the seed alone, so runs with one seed see the same batches."""
    return torch.randperm(images, generator=Generator().manual_seed(seed_of(seed, "data order", epoch))).to(device)


def _add(window: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Add a step's numbers on the device. A number that is not finite makes the sum so, and is found at the next entry."""
    for name, value in values.items():
        # A copy, as a CUDA graph writes to the same memory again.
        window[name] = value.detach().to(torch.float64, copy=True) if name not in window else window[name] + value.detach()
    window["steps"] = torch.ones((), dtype=torch.float64, device=next(iter(values.values())).device) + window.get("steps", 0)


def _log(state: TrainingState, schedules: Mapping[str, float]) -> None:
    """Append the means since the last entry to the history."""
    names = sorted(state.window.keys() - {"steps"})
    *values, steps = torch.stack([state.window[name] for name in (*names, "steps")]).tolist()
    means = {name: value / steps for name, value in zip(names, values, strict=True)}
    for name, value in means.items():
        if not math.isfinite(value):
            raise NonFiniteError(f"{name} was not finite between steps {state.step - round(steps) + 1} and {state.step}")
    state.history += [(state.step, name, value) for name, value in {**means, **schedules}.items()]
    state.window = {}
