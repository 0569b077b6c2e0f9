"""A convolutional run gives the same bits twice, and when it is resumed from a saved state."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.gpu_check.check import Finding, Setting
from benchmarks.gpu_check.work import begin
from latentbench.training.train import train

CLOCKS = {"seconds"}
"""What differs between equal states."""


def check(setting: Setting) -> Iterator[Finding]:
    """Parameters, optimiser, noise and history after some steps, compared tensor by tensor."""
    steps = 6 if setting.small else 120
    whole = _train(setting, steps)
    for name, other in (("run twice", _train(setting, steps)), ("resumed half-way", _train(setting, steps, stop=steps // 2))):
        different = [key for key in whole if key not in CLOCKS and not torch.equal(whole[key], other[key])]
        far = max((float((whole[key].double() - other[key].double()).abs().max()) for key in different), default=0.0)
        found = f"{len(different)} of {len(whole)} tensors differ" + (f", by at most {far:.1e}" if different else "")
        yield Finding(f"conv, {name}, {steps} steps", found, "none differs", not different)


def _train(setting: Setting, steps: int, stop: int | None = None) -> dict[str, Tensor]:
    """The state after `steps` steps; with `stop`, from a new state that was loaded with the tensors of the stopped one."""
    changes = {"training.steps": steps, "training.batch_size": 20 if setting.small else 200}
    images = 100 if setting.small else 2000
    state, data, run = begin(changes, setting, images)
    for _ in train(state, data, run):
        if state.step == stop:
            break
    if stop is not None:
        saved = {name: value.cpu() for name, value in state.tensors().items()}
        state, data, run = begin(changes, setting, images)
        state.load(saved)
        for _ in train(state, data, run):
            pass
    return {name: value.cpu() for name, value in state.tensors().items()}
