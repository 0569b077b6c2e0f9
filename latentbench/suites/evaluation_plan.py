"""One evaluation of a planned run, and its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from latentbench.suites.settings import digest


@dataclass(frozen=True)
class EvaluationPlan:
    """One evaluation of a run. The id is its name and a hash over its version and options, of which `title` shows those that a suite chose."""

    name: str
    options: Mapping[str, Any]
    version: str
    title: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.title or self.name

    @cached_property
    def id(self) -> str:
        """`name-` and eight hexadecimal digits."""
        return f"{self.name}-{digest({'options': dict(self.options), 'version': self.version})[:8]}"
