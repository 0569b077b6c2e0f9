"""The values of a leaderboard's cells, by the settings that name rows and columns: nothing is averaged over what is not named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from math import isinf, isnan
from typing import Any

import pandas as pd

from latentbench.errors import UserError
from latentbench.reporting.comparison import Key
from latentbench.results.selection import Texts, settings_of, text_of

MAX_SETTINGS_SHOWN = 5
"""Settings that vary, of those that a message names."""
READ = ("run_id", "seed", "value", "kind", "low", "high", "censored", "status", "measured")
"""Columns of values that cells are made of."""
Place = tuple[Key, Key]
"""The row and the column of a cell."""


@dataclass(frozen=True)
class Unseeded:
    """Stands for the seed of a run whose seed is not known, as of some published ones: no other run has it."""

    run_id: str


@dataclass(frozen=True)
class Summary:
    """A value of several runs, as published or derived, with its interval."""

    value: float
    low: float | None
    high: float | None
    censored: int


@dataclass(frozen=True)
class Gathered:
    """What a cell has: finite values by seed, or a summary; and its seeds without a value, told apart.

    `origin` is who made the runs, and where: rows of one origin are paired by seed. `at` are the positions of its rows in the table of values.
    """

    values: Mapping[Any, float]
    origin: tuple[str, str] = ("", "")
    summary: Summary | None = None
    failed: frozenset[Any] = frozenset()
    unmeasured: frozenset[Any] = frozenset()
    missing: frozenset[Any] = frozenset()
    nan: frozenset[Any] = frozenset()
    infinite: frozenset[Any] = frozenset()
    at: Sequence[int] = ()

    @property
    def seeds(self) -> frozenset[Any]:
        """All that it has a run of."""
        return frozenset(self.values) | self.failed | self.unmeasured | self.nan | self.infinite


@dataclass
class Gathering:
    """The cells of a table of values (as `select` gives it). `hidden` counts rows that no cell shows, by what they are."""

    values: pd.DataFrame
    rows: Sequence[str]
    columns: Sequence[str]
    hidden: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Read the columns that cells are made of."""
        named, text = (*self.rows, *self.columns), Texts(self.values)
        self.record = {name: self.values[name].tolist() for name in READ}
        finished = [kind == "run" and value == value for kind, value in zip(self.record["kind"], self.record["value"], strict=True)]  # noqa: PLR0124
        settings = {name: text(name) for name in settings_of(self.values) if name not in named}
        self.unnamed = {name: texts for name, texts in settings.items() if len(set(compress(texts, finished))) > 1}
        self.names = {name: text(name) for name in named}
        runs = zip(self.record["seed"], self.record["run_id"], strict=True)
        self.record["seed"] = [Unseeded(run_id) if seed is None or seed != seed else seed for seed, run_id in runs]  # noqa: PLR0124
        publications = [text_of(source).partition(":")[0] for source in self.values["source"].tolist()]  # what of it follows the colon
        self.record["origin"] = list(zip(self.values["store"].tolist(), publications, strict=True))
        self.origins = set(compress(self.record["origin"], finished))

    def places(self) -> dict[Place, list[int]]:
        """Row and column of every cell -> the positions of its rows."""
        found: dict[Place, list[int]] = {}
        texts = list(self.names.values())
        split = len(self.rows)
        for position, key in enumerate(zip(*texts, strict=True) if texts else [()] * len(self.values)):
            found.setdefault((key[:split], key[split:]), []).append(position)
        return found

    def cell(self, at: Sequence[int]) -> Gathered | None:
        """What the cell of the rows at these positions has; None where there is nothing to show.

        Raises:
            UserError: its runs differ in a setting that is not named, share a seed and all settings, or it has several summaries.
        """
        runs = [i for i in at if self.record["kind"][i] == "run"]
        summaries = [i for i in at if self.record["kind"][i] == "summary"]
        if not runs:
            return self._summary(summaries)
        finished = [i for i in runs if self.record["value"][i] == self.record["value"][i]]  # not a number
        others = [i for i in runs if self.record["value"][i] != self.record["value"][i]]
        if not finished and (not any(self._tried(i) for i in others) or any(self._lacks(i) for i in others)):
            self.hidden["runs without the metric"] += 0 if summaries else len(others)
            return self._summary(summaries)
        self._check_named(finished)
        alike = [i for i in others if self._belongs(i, finished)]
        self.hidden["failed runs of other settings"] += sum(self.record["status"][i] == "failed" for i in set(others) - set(alike))
        self.hidden["summaries"] += len(summaries)
        return self._gathered(finished, alike)

    def _gathered(self, finished: Sequence[int], alike: Sequence[int]) -> Gathered:
        seeds, numbers = self.record["seed"], self.record["value"]
        counts = Counter(seeds[i] for i in finished)
        repeated = [str(self.record["run_id"][i]) for i in finished if counts[seeds[i]] > 1]
        if repeated:
            raise UserError(
                f"{len(repeated)} runs of one cell share seeds and all their settings ({', '.join(repeated[:4])}, ...): "
                "they cannot be averaged over seeds"
            )
        failed, missing = (frozenset(seeds[i] for i in alike if self.record["status"][i] == what) for what in ("failed", "missing"))
        nan = frozenset(seeds[i] for i in alike if self.record["measured"][i]) - failed
        return Gathered(
            {seeds[i]: float(numbers[i]) for i in finished if not isinf(numbers[i])},
            self.record["origin"][(finished or alike)[0]],
            failed=failed,
            unmeasured=frozenset(seeds[i] for i in alike) - failed - missing - nan,
            missing=missing,
            nan=nan,
            infinite=frozenset(seeds[i] for i in finished if isinf(numbers[i])),
            at=[*finished, *alike],
        )

    def _summary(self, at: Sequence[int]) -> Gathered | None:
        if len(at) > 1:
            raise UserError(f"{len(at)} summaries fall into one cell; name more settings with --rows or --columns")
        if not at or isnan(self.record["value"][at[0]]):
            return None
        value, low, high, censored = (self.record[name][at[0]] for name in ("value", "low", "high", "censored"))
        return Gathered({}, self.record["origin"][at[0]], Summary(float(value), _number(low), _number(high), int(censored or 0)), at=at)

    def _tried(self, position: int) -> bool:
        """Whether a run without a value would have one had it not failed: others of its origin do."""
        return bool(self.record["measured"][position]) or (
            self.record["status"][position] == "failed" and self.record["origin"][position] in self.origins
        )

    def _lacks(self, position: int) -> bool:
        """Whether a run is trained and the metric is not among what was measured of it, so that its like do not have it."""
        return self.record["status"][position] == "done" and not self.record["measured"][position]

    def _belongs(self, position: int, finished: Sequence[int]) -> bool:
        """Whether a run without a value has settings of the runs that have one."""
        if not finished:
            return self._tried(position)
        return all(texts[position] in {texts[i] for i in finished} for texts in self.unnamed.values())

    def _check_named(self, at: Sequence[int]) -> None:
        """Raise a UserError if the rows at these positions differ in a setting that is not named."""
        found = {name: sorted({texts[i] for i in at}) for name, texts in self.unnamed.items()}
        found = {name: texts for name, texts in found.items() if len(texts) > 1}
        if not found:
            return
        names = sorted(found, key=lambda name: name != "store")  # runs of different folders differ in much else too
        values = "; ".join(f"{name}: {', '.join(text or 'none' for text in found[name])}" for name in names[:MAX_SETTINGS_SHOWN])
        others = f"; and {len(names) - MAX_SETTINGS_SHOWN} others" if len(names) > MAX_SETTINGS_SHOWN else ""
        place = ", ".join(f"{name}={texts[at[0]]}" for name, texts in self.names.items())
        raise UserError(
            f"the cell {place} would average over settings that vary: {values}{others}. "
            f"Name them with --rows or --columns, as --columns {names[0]}, or choose with --only {names[0]}=... or --suite FILE"
        )


def with_missing(cells: Mapping[Place, Gathered]) -> dict[Place, Gathered]:
    """The cells with the seeds that others of their column, of the same origin, have runs of."""
    expected: dict[tuple[Key, tuple[str, str]], set[Any]] = {}
    for (_, column), cell in cells.items():
        expected.setdefault((column, cell.origin), set()).update(seed for seed in cell.seeds if not isinstance(seed, Unseeded))
    return {
        place: cell if cell.summary else replace(cell, missing=(frozenset(expected[place[1], cell.origin]) - cell.seeds) | cell.missing)
        for place, cell in cells.items()
    }


def columns_of(cells: Mapping[Place, Gathered]) -> dict[Key, dict[Key, Gathered]]:
    """Column -> row -> cell."""
    found: dict[Key, dict[Key, Gathered]] = {}
    for (row, column), cell in cells.items():
        found.setdefault(column, {})[row] = cell
    return found


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)  # noqa: PLR0124  # a missing one may be not a number
