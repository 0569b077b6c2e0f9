"""The state of a training: what changes at every step, goes to disk, and comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from latentbench.models.model import Model
from latentbench.streams import stream
from latentbench.suites.settings import Training


@dataclass
class TrainingState:
    """Everything that changes while a run trains: what is saved, and what training resumes from."""

    model: Model
    optimizer: Optimizer
    noise: Generator
    step: int = 0
    seconds: float = 0.0  # of training, by the clock
    device_seconds: float = 0.0  # and by the device's
    window: dict[str, Tensor] = field(default_factory=dict)  # sums over the steps since the last entry of the history
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
        """Return to a saved state."""
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
