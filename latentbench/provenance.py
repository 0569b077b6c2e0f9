"""Where a result comes from: sources, versions, hardware. Kept with every run; not part of its identity."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from latentbench.files import sha256_of
from latentbench.part import Assembly, Part
from latentbench.registry import Registry

NUMERIC_CORE = (
    *("cache", "codes", "dataset", "estimator", "evaluate", "evaluation", "execute", "family", "likelihood", "location_scale", "model", "network"),
    *("objective", "part", "resolve", "schedules", "settings", "sparse_coding", "streams", "torch_family", "train"),
)
"""Modules of the core that decide a run's numbers."""
PACKAGES = ("latentbench", "torch", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "pydantic")


def source_hashes(assembly: Assembly, evaluations: Iterable[str], registry: Registry) -> dict[str, str]:
    """`package/file.py` -> sha256 of every source file that takes part in a run: plugins of its parts and evaluations, and the numeric core."""
    parts = [*_parts(assembly), *(registry.evaluation(name) for name in evaluations)]
    return {name: digest for part in parts for name, digest in _plugin_hashes(part, registry).items()} | _core_hashes()


def changed_sources(stored: str | None, assembly: Assembly, evaluations: Iterable[str], registry: Registry) -> list[str]:
    """The source files that are now other than those (as JSON) of a stored run; files that it did not know take no part in it."""
    before = json.loads(stored) if isinstance(stored, str) else {}  # a missing text comes back from pandas as NaN
    return sorted(name for name, digest in source_hashes(assembly, evaluations, registry).items() if before.get(name, digest) != digest)


def environment() -> dict[str, str]:
    """Versions of Python and of the packages that results may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
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
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None, None
    try:
        sha = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        dirty = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None, None
    return sha, bool(dirty.strip())


def _parts(assembly: Assembly) -> Iterable[type[Part]]:
    parts = (assembly.family, assembly.dataset, assembly.likelihood, assembly.decoder, assembly.encoder, assembly.estimator)
    return [part for part in parts if part is not None]


def _plugin_hashes(part: type[Part], registry: Registry) -> Mapping[str, str]:
    """The sources of the package that defines a part, and of the plugins that it imports from."""
    plugins = {module.__name__.partition(".")[0] for module in registry.modules.values()}
    packages, found = [part.__module__.partition(".")[0]], {}
    while packages:
        package = packages.pop()
        if package not in found:
            found[package] = _package_hashes(package)
            packages += _imported(package) & plugins
    return {name: digest for hashes in found.values() for name, digest in hashes.items()}


def _imported(package: str) -> set[str]:
    """The top-level packages that a package's modules have taken names from."""
    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == package]
    values = [value for module in modules for value in list(vars(module).values())]
    origins = [getattr(value, "__module__", None) or getattr(value, "__name__", None) for value in values]
    return {origin.partition(".")[0] for origin in origins if isinstance(origin, str)}


@cache
def _package_hashes(top: str) -> dict[str, str]:
    file = getattr(sys.modules[top], "__file__", None)
    if file is None:
        return {}
    path = Path(file)
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    return {str(f.relative_to(path.parent.parent if path.name == "__init__.py" else path.parent)): sha256_of(f) for f in files}


@cache
def _core_hashes() -> dict[str, str]:
    folder = Path(__file__).parent
    return {f"latentbench/{name}.py": sha256_of(folder / f"{name}.py") for name in NUMERIC_CORE}
