"""What a leaderboard shows, and what is selected for a figure: a metric, and which results count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Query:
    """What a leaderboard shows: a metric, the settings that name its rows and columns, and which results count.

    Without `rows` the leaderboard chooses them. `only` selects by settings, `run_ids` by ids. `evaluations` are ids, or names with options as in
    `active_units(rule=paper)`. `values_of` is `runs`, `summaries`, or `auto`: both, and a leaderboard shows a summary where it has no runs.
    `every_index` selects a curve: a row for every index of the metric. The metric may be derived (`latentbench.reporting.Derived`), with its options
    in brackets.
    """

    metric: str = "nelbo"
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    split: str = "validation"
    index: float | None = None
    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    run_ids: frozenset[str] | None = None
    evaluations: frozenset[str] | None = None
    values_of: str = "auto"
    every_index: bool = False

    @property
    def title(self) -> str:
        """The metric, with its index."""
        return self.metric if self.index is None else f"{self.metric} at {self.index:g}"
