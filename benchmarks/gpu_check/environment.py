"""The machine, its driver and its packages."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.gpu_check.check import CORE, Finding, Setting

PACKAGES = ("torch", "triton", "numpy", "scipy", "pytest")
WANTED = (*CORE, "triton", "tabulate", "typer", "rich", "pytest")


def check(setting: Setting) -> Iterator[Finding]:
    """Versions, and what is missing."""
    yield Finding("Python", platform.python_version())
    for package in PACKAGES:
        yield Finding(package, _version(package))
    missing = [module for module in WANTED if importlib.util.find_spec(module) is None]
    yield Finding("packages missing", ", ".join(missing) or "none")
    if not setting.cuda:
        yield Finding("device", platform.processor() or platform.machine())
        return
    properties = torch.cuda.get_device_properties(setting.device)
    yield Finding("device", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, capability {properties.major}.{properties.minor}")
    yield Finding("CUDA of torch", str(torch.version.cuda))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
