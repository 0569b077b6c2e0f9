"""The hooks as a page: what a plugin may define, by entry-point group."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from docstrings import docstring

import latentbench.hookspecs
import latentbench.reporting.hookspecs
from latentbench.loading import INTERFACE

GROUPS = {"latentbench": latentbench.hookspecs, "latentbench.reporting": latentbench.reporting.hookspecs}


def page() -> str:
    """Every hook of both groups."""
    return f"# Hooks\n\nThe version of this interface is {INTERFACE}: [stability](../stability.md).\n\n" + "\n\n".join(map(_group, GROUPS)) + "\n"


def _group(name: str) -> str:
    module = GROUPS[name]
    hooks = [f"### {hook}\n\n```text\n{hook}{inspect.signature(function)}\n```\n\n{docstring(function)}" for hook, function in _hooks(module)]
    return "\n\n".join([f"## Entry-point group `{name}` {{ #{name.replace('.', '-')} }}", docstring(module), *hooks])


def _hooks(module: ModuleType) -> list[tuple[str, Callable[..., Any]]]:
    return [(name, function) for name, function in vars(module).items() if name.startswith("register_")]
