"""Which runs of a suite are one model: those that are alike in the settings of some names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from latentbench.errors import UserError
from latentbench.registry import Registry
from latentbench.suites.expand import Changes, expand, selected
from latentbench.suites.labels import dotted, joined
from latentbench.suites.plan import Planned
from latentbench.suites.resolve import Resolved
from latentbench.suites.settings import Run
from latentbench.suites.suite import Suite


@dataclass(frozen=True)
class Found:
    """A run of a model in one of the sweeps, and the settings that it was written with."""

    sweep: int
    point: Mapping[str, Any]
    resolved: Resolved


@dataclass(frozen=True)
class Named:
    """One model of a suite.

    Args:
        settings: the settings that tell it from the others, of its runs; None where they do not read one.
        matches: by the number of a sweep, the same settings as the sweep writes them, once for every way.
    """

    settings: Mapping[str, Any]
    matches: Mapping[int, tuple[Mapping[str, Any], ...]]

    def __str__(self) -> str:
        return joined({name: str(value) for name, value in self.settings.items() if value is not None})

    @property
    def key(self) -> str:
        """Its settings as a text."""
        return json.dumps(dict(self.settings))


def found_by_model(suite: Suite, names: Iterable[str], registry: Registry, device: str, changes: Changes) -> list[list[Found]]:
    """The runs of every model that `changes` select, models in the suite's order."""
    found: dict[str, list[Found]] = {}
    for number, sweep in enumerate(suite.sweeps):
        for item in expand(sweep, registry, device, changes).items:
            if isinstance(item.outcome, Resolved) and selected(item, changes):
                one = Found(number, item.point.settings, item.outcome)
                found.setdefault(json.dumps(named(item.outcome.run, names)), []).append(one)
    return list(found.values())


def runs_of(models: Iterable[Named], names: Iterable[str], runs: Iterable[Planned]) -> list[list[Planned]]:
    """The runs of every model, out of those of a plan."""
    found: dict[str, list[Planned]] = {model.key: [] for model in models}
    for item in runs:
        found.get(json.dumps(named(item.run, names)), []).append(item)
    return list(found.values())


def named(run: Run, names: Iterable[str]) -> dict[str, Any]:
    """The settings of some names that a run has; None where it does not read one."""
    settings = dotted(run)
    return {name: settings.get(name) for name in names}


def matches(runs: Sequence[Found], names: Iterable[str]) -> dict[int, tuple[Mapping[str, Any], ...]]:
    """By the number of a sweep, the settings of some names as the sweep writes them for these runs, each combination once."""
    found: dict[int, dict[str, Mapping[str, Any]]] = {number: {} for number in sorted({run.sweep for run in runs})}
    for run in runs:
        match = {name: run.point.get(name) for name in names}
        found[run.sweep].setdefault(json.dumps(match), match)
    return {number: tuple(ways.values()) for number, ways in found.items()}


def check_told_apart(models: Iterable[Named], where: str) -> None:
    """Refuse models that are written alike: settings of one would be those of the other.

    Raises:
        UserError: there are such; `where` is the place that names what tells models apart.
    """
    seen: dict[tuple[int, str], Named] = {}
    for model, number, match in _all_matches(models):
        other = seen.setdefault((number, json.dumps(match)), model)
        if other is not model:
            raise UserError(
                f"the sweep writes {model} and {other} alike in these settings; name one that it writes and that tells them apart", where=where
            )


def _all_matches(models: Iterable[Named]) -> Iterator[tuple[Named, int, Mapping[str, Any]]]:
    for model in models:
        for number, ways in model.matches.items():
            yield from ((model, number, match) for match in ways)
