"""Where a result comes from: sources, versions, hardware. Kept with every run; not part of its identity."""

from __future__ import annotations

import json
import os
import platform
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

NUMERIC_CORE = ("codes", "family", "location_scale", "torch_family", "model", "objective", "schedules", "streams", "train")
"""Modules of the core that decide a run's numbers."""
PACKAGES = ("latentbench", "torch", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "pydantic")


def source_hashes(assembly: Assembly, registry: Registry) -> dict[str, str]:
    """`package/file.py` -> sha256 of every source file that takes part in a run: those of its parts' plugins, and the core's numeric modules."""
    return {name: digest for part in _parts(assembly) for name, digest in _plugin_hashes(part, registry).items()} | _core_hashes()


def changed_sources(stored: str, assembly: Assembly, registry: Registry) -> list[str]:
    """The source files that differ from those (as JSON) of a stored run."""
    before, now = json.loads(stored or "{}"), source_hashes(assembly, registry)
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)) if before else []


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
    """Host, processor, threads and, on CUDA, the GPU and its driver."""
    import torch

    found: dict[str, Any] = {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if device.startswith("cuda"):
        found |= {"gpu": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
    return found


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
    """The sources of the plugin that registers the part, and of the classes that it derives from."""
    modules = {registry.modules[registry.providers[part]].__name__} if part in registry.providers else set()
    modules |= {base.__module__ for base in part.__mro__ if issubclass(base, Part) and not base.__module__.startswith("latentbench.")}
    return {name: digest for top in {m.partition(".")[0] for m in modules} for name, digest in _package_hashes(top).items()}


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
