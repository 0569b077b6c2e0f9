"""Where a result comes from: sources, versions, hardware. Kept with every run; not part of its identity."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latentbench.imported import Sources, hashes
from latentbench.part import Assembly, Part

TRAINING = (
    *(
        "latentbench.execution.execute",
        "latentbench.execution.fit",
        "latentbench.models.numerics",
        "latentbench.suites.resolve",
        "latentbench.suites.settings",
    ),
    *("latentbench.training.schedules", "latentbench.training.state", "latentbench.training.train"),
)
"""Modules of the core that decide how models are trained."""
EVALUATION = ("latentbench.execution.evaluate", *(f"latentbench.evaluation.{name}" for name in ("contract", "outcome", "trained")))
"""Modules of the core that decide how they are evaluated."""
MODEL = (
    *(f"latentbench.blocks.{name}" for name in ("arrivals", "arrivals_loop", "exponential", "limits", "logarithm", "logistic")),
    *(f"latentbench.blocks.{name}" for name in ("lasso", "lasso_active_set", "lasso_compiled", "lasso_exact", "lasso_gap")),
    *(f"latentbench.blocks.{name}" for name in ("lasso_ista", "lasso_lca", "lasso_newton")),
    *(f"latentbench.blocks.{name}" for name in ("relaxed_categorical", "relaxed_poisson", "relaxed_poisson_gumbel", "seeded")),
    *(f"latentbench.blocks.{name}" for name in ("indicators", "relaxed_poisson_triton", "smoothing")),
    *("latentbench.data.cache", "latentbench.data.dataset", "latentbench.part", "latentbench.streams"),
    *(f"latentbench.models.{name}" for name in ("codes", "estimator", "family", "iterative", "likelihood", "location_scale", "model")),
    *(f"latentbench.models.{name}" for name in ("network", "objective", "sparse_coding", "torch_family")),
)
"""Modules of the core that decide what a model computes. What is in none of these lists plans, stores and shows."""
PACKAGES = ("latentbench", "torch", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "pydantic", "triton", "numba")
MODULES = {"scikit-learn": "sklearn"}
"""Packages that are imported by another name."""


def training_sources(assembly: Assembly) -> dict[str, str]:
    """The sources that decide the numbers of a training, as this process has imported them: parts, what they import, and the core's."""
    return hashes([*TRAINING, *(part.__module__ for part in assembly.parts)], frozenset(MODEL))


def evaluation_sources(parts: Iterable[type[Part]]) -> dict[str, str]:
    """The sources that decide what an evaluation measures on a given model: its own, and those of the parts that it builds."""
    return hashes([*EVALUATION, *(part.__module__ for part in parts)], frozenset(MODEL))


def sources_of(assembly: Assembly, evaluations: Iterable[type[Part]]) -> dict[str, str]:
    """The sources of a training and of the evaluations of its model, given with the parts that they build."""
    return evaluation_sources(evaluations) | training_sources(assembly)


def changed(before: Sources, now: Sources) -> list[str]:
    """The files whose meaning differs, of those that both know."""
    return sorted(name for name, digest in now.items() if before.get(name, digest) != digest)


def environment() -> dict[str, str]:
    """Versions of Python and of the packages that results may depend on: as they were imported, where they were."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        loaded = getattr(sys.modules.get(MODULES.get(package, package)), "__version__", None)
        try:
            found[package] = str(loaded) if loaded else version(package)
        except PackageNotFoundError:
            continue
    return found


def hardware(device: str) -> dict[str, Any]:
    """The columns of a run's row that say what it ran on: host, device, the NVIDIA driver, threads, and, as JSON, the rest."""
    import torch

    rest: dict[str, Any] = {"system": platform.platform(), "processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        rest["visible_devices"] = visible
    if device.startswith("cuda"):
        rest["cuda"] = torch.version.cuda
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else rest["processor"]
    return {
        "host": platform.node(),
        "device_name": name,
        "driver": _driver() if device.startswith("cuda") else None,
        "threads": torch.get_num_threads(),
        "hardware": json.dumps(rest),
    }


def _driver() -> str | None:
    """The version of the NVIDIA driver, as its kernel module tells it; None where there is no such file."""
    try:
        found = re.search(r"\b\d+\.\d+(\.\d+)?\b", Path("/proc/driver/nvidia/version").read_text())
    except OSError:
        return None
    return found[0] if found else None


def git_state() -> tuple[str | None, bool | None]:
    """The commit that latentbench's own source tree is at, and whether it has uncommitted changes; None where it is not a git checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None, None
    try:
        sha = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        dirty = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None, None
    return sha, bool(dirty.strip())
