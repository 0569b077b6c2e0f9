"""Sweeps: the combinations of settings that one entry of a suite's `sweeps` stands for, and where each of their values was said."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from latentbench.errors import UserError, nearest, shortened
from latentbench.numbers import same
from latentbench.suites.settings import OPTION_OWNERS, Settings, Training

Dotted = Mapping[str, Any]
"""Settings with dotted keys, like `training.epochs`."""
NESTED = (*OPTION_OWNERS, "training")
"""Settings that hold settings; in dotted keys like `training.epochs` they come before the dot."""
MAX_POINTS = 100_000
"""Combinations of a sweep."""


@dataclass(frozen=True)
class EvaluationSpec:
    """One evaluation that a suite asks for, as written."""

    name: str
    options: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Override:
    """Settings of the combinations that match; `lines` has the line of each, and under the empty key that of the rule."""

    match: Dotted
    settings: Dotted
    lines: Mapping[str, str]


@dataclass(frozen=True)
class Point:
    """One combination: its dotted settings, and the place (`file:line`, or a flag) where each was said; the empty key has the sweep's."""

    settings: Dotted
    places: Mapping[str, str]

    def where(self, key: str) -> str:
        """The place of a setting; of one that holds settings, a flag that changes one of them, else the sweep's."""
        flags = (place for name, place in self.places.items() if name.startswith(f"{key}.") and place.startswith("--"))
        return self.places.get(key) or next(flags, self.places[""])


@dataclass(frozen=True)
class Sweep:
    """One sweep of a suite, not yet expanded. `axes` hold a value or a list of values for every dotted setting, the suite's defaults included.

    `explicit` are the settings that the sweep itself names, `defaults` those of its suite; `lines` has the line of each.
    """

    axes: Dotted
    zipped: Dotted
    excluded: tuple[tuple[Dotted, str], ...]
    overrides: tuple[Override, ...]
    explicit: frozenset[str]
    defaults: frozenset[str]
    evaluations: tuple[EvaluationSpec, ...]
    lines: Mapping[str, str]
    file: Path

    def where(self, key: str = "") -> str:
        """`file:line` of a setting of this sweep, or of the sweep."""
        return self.lines.get(key) or self.lines[""]

    def points(self, changes: Dotted, flags: Mapping[str, str]) -> list[Point]:
        """Every combination. `changes` (dotted; lists sweep) replace the sweep's own before anything is excluded, and overrides too; `flags` says
        where each of them comes from.

        Raises:
            UserError: a list is empty, there are too many combinations, none is left, or a rule matches none (the last two unless there are changes,
                which may leave a sweep without any).
        """
        zipped_changes = {key: value for key, value in changes.items() if key in self.zipped}
        places = {**self.lines, **flags}
        points = [Point(merged({**point, **step}, zipped_changes), places) for point, step in self._product(changes)]
        for rule, where in self.excluded:
            kept = [point for point in points if not _matches(point.settings, rule)]
            if len(kept) == len(points) and not changes:
                raise UserError(f"{where}: exclude matches no run of the sweep")
            points = kept
        for override in self.overrides:
            if not changes and not any(_matches(point.settings, override.match) for point in points):
                raise UserError(f"{override.lines['']}: the override matches no run of the sweep")
            fixed = {key: value for key, value in override.settings.items() if key not in changes}
            lines = {key: override.lines[key] for key in fixed}
            points = [
                Point(merged(point.settings, fixed), {**point.places, **lines}) if _matches(point.settings, override.match) else point
                for point in points
            ]
        if not points and not changes:
            raise UserError(f"{self.where()}: the sweep is empty: no run is left")
        return points

    def _product(self, changes: Dotted) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Every combination of the lists, with every step of the zipped ones."""
        axes = merged(self.axes, changes)
        choices = {key: value if isinstance(value, list) else [value] for key, value in axes.items()}
        for key, values in choices.items():
            if not values:
                raise UserError(f"{self.where(key)}: the sweep is empty: '{key}' has no values")
        steps = [dict(zip(self.zipped, together, strict=True)) for together in zip(*self.zipped.values(), strict=True)] if self.zipped else [{}]
        if prod(map(len, choices.values())) * len(steps) > MAX_POINTS:
            raise UserError(f"{self.where()}: the sweep has more than {MAX_POINTS} combinations")
        for combination in itertools.product(*choices.values()):
            yield from ((dict(zip(choices, combination, strict=True)), step) for step in steps)


def merged(lower: Dotted, upper: Dotted) -> dict[str, Any]:
    """Settings where `upper` wins; a length in steps replaces one in epochs, and the other way round."""
    lengths = {"training.steps", "training.epochs"}
    replaced = lengths - upper.keys() if lengths & upper.keys() else set()
    return {**{key: value for key, value in lower.items() if key not in replaced}, **upper}


def _matches(point: Dotted, rule: Dotted) -> bool:
    return all(any(same(point.get(key), one) for one in (value if isinstance(value, list) else [value])) for key, value in rule.items())


def check_key(key: str) -> None:
    """Check that a dotted key names a setting; options of parts are checked when the parts are known.

    Raises:
        UserError: it does not; the message has the nearest name.
    """
    outer, _, inner = key.partition(".")
    if key in NESTED:
        raise UserError(f"'{key}' holds settings; name one of them, as in {key}.{'epochs' if key == 'training' else 'OPTION'}")
    if outer == "training":
        if inner in Training.model_fields:
            return
        suggestion = nearest(inner, Training.model_fields).replace("'", "'training.", 1)
        raise UserError(f"unknown setting '{shortened(key)}'{suggestion}")
    if not (inner and outer in NESTED) and key not in Settings.model_fields:
        raise UserError(f"unknown setting '{shortened(key)}'{nearest(key, [*Settings.model_fields, 'zip', 'exclude', 'overrides'])}")
