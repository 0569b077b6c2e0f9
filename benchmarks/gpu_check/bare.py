"""A Python path on which an uninstalled checkout finds itself and its plugins."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python_path(folder: Path) -> str:
    """The path for processes that run checks: the checkout, its plugins and, where latentbench is not installed, metadata that name them."""
    places = [ROOT, ROOT / "plugins", *([] if _installed() else [_metadata(folder)])]
    return os.pathsep.join([*map(str, places), *filter(None, [os.environ.get("PYTHONPATH")])])


def _installed() -> bool:
    try:
        return bool(version("latentbench"))
    except PackageNotFoundError:
        return False


def _metadata(folder: Path) -> Path:
    """Write what an installation says of its entry points, out of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    place = folder / "metadata"
    info = place / f"{project['name']}-0.0.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.0.0\n")
    groups = project["entry-points"].items()
    lines = [line for group, points in groups for line in (f"[{group}]", *(f"{name} = {module}" for name, module in points.items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return place
