"""Runs that checks train, on made images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch

from benchmarks.gpu_check.check import Setting
from latentbench.data.dataset import Split
from latentbench.models.model import build_model
from latentbench.models.numerics import set_numerics
from latentbench.registry import load_registry
from latentbench.suites.resolve import assemble, resolve
from latentbench.suites.settings import Run
from latentbench.training.state import TrainingState, new_state

CONV = {"family": "poisson", "estimator": "mc", "dataset": "mnist", "encoder": "conv", "decoder": "conv", "latent_dim": 10}
"""The paper's convolutional model of MNIST."""
LINEAR = {"family": "poisson", "estimator": "mc", "dataset": "photo_patches", "encoder": "linear", "decoder": "linear", "latent_dim": 512}
"""Its linear model of whitened patches."""


def begin(changes: Mapping[str, Any], setting: Setting, images: int, base: Mapping[str, Any] = CONV) -> tuple[TrainingState, Split, Run]:
    """A run before its first step, with made images of the data set's shape: nothing is fetched. Small ones have 8 x 8 pixels."""
    registry, device = load_registry(), setting.device
    small = {"dataset": "digits"} if setting.small else {}
    run = resolve({**base, "seed": 1, "training.steps": 10**6, **small, **changes}, registry, device.partition(":")[0]).run
    set_numerics(run.dtype, device)
    assembly = assemble(run, registry)
    dtype = {"float64": torch.float64, "bfloat16": torch.bfloat16}.get(run.dtype, torch.float32)
    model = build_model(assembly, run.seed, device, dtype, compiled=bool(run.compile))
    made = torch.rand(images, *assembly.data_shape, generator=torch.Generator().manual_seed(0))
    return new_state(model, run.train_settings, run.seed), Split(made).to(device, model.dtype), run


def seconds_of(work: Callable[[], object], device: str, rounds: int, repeat: int = 1) -> float:
    """Median seconds of one call, of `rounds` times `repeat` calls, by the clock; the device has finished before and after."""
    return median(_once(work, device, repeat) for _ in range(rounds))


def _once(work: Callable[[], object], device: str, repeat: int) -> float:
    wait(device)
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    wait(device)
    return (time.perf_counter() - start) / repeat


def wait(device: str) -> None:
    """Wait for the device."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
