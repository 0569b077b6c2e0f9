"""float32 means float32: products, convolutions and the gradients of a model, against float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.gpu_check.check import Finding, Setting
from benchmarks.gpu_check.work import begin
from latentbench.models.numerics import set_numerics
from latentbench.training.train import train

FLOAT32, TF32 = 2e-6, 1e-4
"""Relative to the largest number: float32's products of 1,024 terms are within 2e-6 of the exact ones, TF32's (10 bits) are 1e-4 away and more."""


def check(setting: Setting) -> Iterator[Finding]:
    """Errors with TF32 off and, where the GPU has it, on, which shows that the comparison would see it."""
    for dtype in ("float32", "tf32"):
        set_numerics(dtype, setting.device)
        for name, error in (("product", _product(setting)), ("convolution", _convolution(setting))):
            if dtype == "float32":
                yield Finding(f"{name} in float32, largest error", f"{error:.1e}", f"below {FLOAT32:g}", error < FLOAT32)
            elif setting.cuda and torch.cuda.get_device_capability(setting.device) >= (8, 0):
                # cuDNN may choose an algorithm without TF32 for a convolution.
                yield Finding(
                    f"{name} in tf32, largest error", f"{error:.1e}", f"about {TF32:g} or more", error > TF32 / 4 if name == "product" else None
                )
    set_numerics("float32", setting.device)
    error = _gradient(setting)
    yield Finding("gradient of a conv|lin model in float32, largest error", f"{error:.1e}", "below 1e-4", error < 1e-4)


def _product(setting: Setting) -> float:
    a, b = (torch.randn(1024, 1024, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    return _error(a.to(setting.device) @ b.to(setting.device), a.double() @ b.double())


def _convolution(setting: Setting) -> float:
    generator = torch.Generator().manual_seed(3)
    x, kernel = torch.randn(8, 64, 28, 28, generator=generator), torch.randn(64, 64, 3, 3, generator=generator)
    ours = torch.nn.functional.conv2d(x.to(setting.device), kernel.to(setting.device), padding=1)
    return _error(ours, torch.nn.functional.conv2d(x.double(), kernel.double(), padding=1))


def _gradient(setting: Setting) -> float:
    """Of the closed-form loss, which draws nothing, at the first step: the device's in float32 against the CPU's in float64."""
    gradients = []
    for where, dtype in ((setting, "float32"), (replace(setting, device="cpu"), "float64")):
        settings = {"family": "gaussian", "estimator": "exact", "decoder": "linear", "dtype": dtype, "training.batch_size": 50}
        state, data, run = begin(settings, where, images=50)
        next(train(state, data, run))
        gradients.append(torch.cat([p.grad.flatten().cpu() for p in state.model.parameters() if p.grad is not None]))
    return _error(*gradients)


def _error(ours: Tensor, exact: Tensor) -> float:
    return float((ours.cpu().double() - exact).abs().max() / exact.abs().max())
