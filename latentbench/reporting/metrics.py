"""What metrics there are and what they mean: those that plugins declare, or those that a results folder has."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from latentbench.measure import Measure
from latentbench.reporting.text import plain
from latentbench.results.arrow import distinct
from latentbench.results.declared_metrics import declarations_in
from latentbench.results.lookup import stored

if TYPE_CHECKING:
    from latentbench.evaluation.contract import Evaluation
    from latentbench.models.family import Family
    from latentbench.reporting.derived import Derived

COLUMNS = ["metric", "split", "index_name", "index"]
MAX_INDICES_SHOWN = 6
"""Values of an index that are listed; of more the first and the last."""


@dataclass(frozen=True)
class Listed:
    """A metric.

    Args:
        name: its name.
        measure: its declaration; None where results of older versions do not say.
        measured_by: the evaluations that measure it.
        splits: of stored ones, the splits that it was measured on.
        indices: of stored ones, name -> values of what tells the points of a curve apart.
        runs: of stored ones, how many have it.
    """

    name: str
    measure: Measure | None
    measured_by: Sequence[str]
    splits: Sequence[str] = ()
    indices: Mapping[str, Sequence[float]] = field(default_factory=dict)
    runs: int = 0


def declared_metrics() -> list[Listed]:
    """The metrics that plugins declare, by name: those of evaluations, the costs of families, and derived ones, by their plugin."""
    from latentbench.registry import load_registry  # with torch
    from latentbench.reporting.extensions import load_reporting

    registry = load_registry()
    owners: dict[str, list[str]] = {}
    for part in cast("Iterable[type[Evaluation]]", registry.parts["evaluations"].values()):
        costs = [family.measures for family in cast("Iterable[type[Family]]", registry.parts["families"].values())] if part.reports_costs else []
        for name in dict.fromkeys(name for declared in (part.metrics, *costs) for name in declared):
            owners.setdefault(name, []).append(part.name)
    reporting = load_reporting()
    derived = cast("Iterable[type[Derived]]", reporting.parts["derived"].values())
    found = [Listed(name, measure, sorted(owners.get(name, []))) for name, measure in registry.declarations().items()]
    return sorted([*found, *(Listed(part.name, part.measure, [reporting.providers[part]]) for part in derived)], key=lambda listed: listed.name)


def stored_metrics(results: Path) -> list[Listed]:
    """The metrics that a results folder has, by name, of runs and of summaries.

    Raises:
        UserError: the folder has no results, or they cannot be read.
    """
    store = stored(results)
    declared = declarations_in(store.rows("evaluations", ["metrics"])["metrics"].unique().to_pylist())
    measured = store.rows("metrics", [*COLUMNS, "evaluation", "run_id"])
    counts = Counter(metric for metric, _ in distinct(measured, ["metric", "run_id"]))
    found: dict[str, _Found] = {}
    for metric, *point, evaluation in distinct(measured, [*COLUMNS, "evaluation"]):
        found.setdefault(metric, _Found()).add(evaluation, *point)
    for metric, *point in distinct(store.rows("summaries", COLUMNS), COLUMNS):
        found.setdefault(metric, _Found()).add("summaries", *point)
    return [Listed(name, declared.get(name), sorted(f.by), sorted(f.splits), f.indices(), counts[name]) for name, f in sorted(found.items())]


@dataclass
class _Found:
    """What the rows of one metric say of it."""

    by: set[str] = field(default_factory=set)
    splits: set[str] = field(default_factory=set)
    points: set[tuple[str, float]] = field(default_factory=set)

    def add(self, by: str, split: str, index_name: str | None, index: float) -> None:
        self.by.add(by)
        self.splits.add(split)
        if index_name is not None:
            self.points.add((index_name, index))

    def indices(self) -> dict[str, list[float]]:
        return {name: sorted(index for other, index in self.points if other == name) for name in sorted({name for name, _ in self.points})}


def metrics_text(results: Path | None, columns: int = 80) -> str:
    """A metric in a line, and below it what it means; of a results folder those that it has, without it those that plugins declare."""
    found = declared_metrics() if results is None else stored_metrics(results)
    lines = []
    for metric in found:
        measure = metric.measure
        words = [f"{measure.better} is better" if measure.better else "no direction", measure.unit] if measure else ["not declared"]
        lines.append(plain(f"{metric.name}: {', '.join(words)}"))
        told = [measure.meaning] if measure else []
        told += [f"By {', '.join(metric.measured_by)}."] if metric.measured_by else []
        told += [f"Index: {', '.join(map(_index, *zip(*metric.indices.items(), strict=True)))}."] if metric.indices else []
        told += [f"Index: {measure.index}."] if measure and measure.index and not metric.indices else []
        told += [f"On {', '.join(metric.splits)}" + (f", of {metric.runs} runs." if metric.runs else ".")] if metric.splits else []
        lines += textwrap.wrap(plain(" ".join(told)), columns, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def _index(name: str, values: Sequence[float]) -> str:
    """An index with its values, of many the first and the last."""
    told = [f"{value:g}" for value in values]
    return f"{name} {', '.join(told if len(told) <= MAX_INDICES_SHOWN else [*told[:2], '...', told[-1]])}"
