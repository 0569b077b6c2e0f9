"""Points of figures: runs that differ in their seed alone, with mean and interval; what has no place in one point is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from latentbench.errors import UserError, shortened
from latentbench.reporting.statistics import half_width
from latentbench.results.selection import column_of, settings_of, text_of
from latentbench.results.tables import RUN

IDENTITY = [name for name in RUN if name != "seed"]
"""Columns in which the runs of one point agree."""
SAME = 1e-3
"""Relative difference up to which two published values of one seed are one fit, which two sources have."""


@dataclass(frozen=True)
class Usual:
    """What figures take runs to be that say nothing else: of runs with the settings `match`, those that have the settings `prefer`."""

    match: Mapping[str, Any]
    prefer: Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """The values of a group of runs that differ in their seed alone, or a published summary or fit of unknown seed (`seeds` is
    empty, `bar` the printed interval).

    `settings` are what names the group, as texts. `expected` is how many seeds the figure's fullest group has; `failed` of them have failed here.
    """

    settings: Mapping[str, str]
    seeds: Mapping[int, float]
    summary: float | None = None
    bar: float | None = None
    failed: int = 0
    expected: int = 0
    runs: Sequence[str] = field(default=())

    def __getitem__(self, name: str) -> str:
        return self.settings[name]

    @property
    def values(self) -> tuple[str, ...]:
        """The settings that name it."""
        return tuple(self.settings.values())

    @property
    def n(self) -> int:
        """How many values there are."""
        return len(self.seeds) if self.summary is None else 1

    @property
    def mean(self) -> float:
        """The mean over seeds, or the summary."""
        return float(np.mean(list(self.seeds.values()))) if self.summary is None else self.summary

    @property
    def interval(self) -> float:
        """Half the width of its 99 % interval; 0 where there is none."""
        half = self.bar if self.summary is not None else half_width(np.array(list(self.seeds.values()), dtype=np.float64))
        return 0.0 if half is None or np.isnan(half) else half

    @property
    def title(self) -> str:
        """Its settings, for messages; the index of the metric is none of them."""
        return _named({name: value for name, value in self.settings.items() if name != "index"})

    @property
    def lacking(self) -> str:
        """Which of its seeds are missing, in words; nothing where none is."""
        if not self.n:
            return f"{self.failed} runs failed, and none is done" if self.failed else ""
        absent = self.expected - self.n - self.failed
        parts = [f"{self.failed} failed" if self.failed else "", f"{absent} not there" if absent > 0 else ""]
        words = " and ".join(part for part in parts if part)
        return f"{words} of {max(self.expected, self.n + self.failed)} seeds" if words else ""


def grouped(frame: pd.DataFrame, by: Sequence[str], usual: Sequence[Usual] = (), published: bool = False) -> tuple[list[Point], list[str]]:
    """The groups of a frame of `Canvas.values` by settings, in the order of these; and what was left out for `usual`, in words.

    Raises:
        UserError: a group's runs differ in more than their seeds.
    """
    if frame.empty:
        return [], []
    frame = frame.reset_index(drop=True).assign(identity=_identity)
    settings = [name for name in by if name != "index"]
    texts = {name: column_of(frame, name) for name in settings}
    points: list[Point] = []
    dropped: dict[str, set[str]] = {}
    for key, group in frame.groupby([texts[name] for name in settings] or [pd.Series("", index=frame.index)], sort=False):
        kept = _narrowed(group, by, usual)
        for name, values in _left_out(group, kept, usual).items():
            dropped.setdefault(name, set()).update(values)
        named = dict(zip(settings, map(str, key if isinstance(key, tuple) else (key,)), strict=False))
        points += _of_group(named, kept, by, published)
    expected = len(set().union(*(point.seeds for point in points)))
    points = [replace(point, expected=expected) for point in points]
    said = [f"Left out are {name} {', '.join(sorted(values, key=natural))}." for name, values in dropped.items()]
    return sorted(points, key=lambda point: [natural(value) for value in point.values]), said


def telling(frame: pd.DataFrame, by: Sequence[str] = ()) -> list[str]:
    """Settings that tell the runs of a frame apart, beside those of `by` and the seed: as few as do, in the order of tables.

    A setting that follows from those before it says nothing new.
    """
    chosen: list[str] = []
    before = _together([column_of(frame, name) for name in by], frame)
    for name in settings_of(frame):
        if name in (*by, "store", "source") or name.startswith("dataset_sources."):
            continue
        column = column_of(frame, name)
        if column.nunique() > 1 and column.groupby(before).nunique().max() > 1:
            chosen.append(name)
            before = _together([before, column], frame)
    return chosen


def natural(text: str) -> tuple[int, float, str]:
    """A text to sort by: numbers by size, then texts by name."""
    try:
        return (0, float(text), "")
    except ValueError:
        return (1, 0.0, text)


def _narrowed(group: pd.DataFrame, by: Sequence[str], usual: Sequence[Usual]) -> pd.DataFrame:
    """The runs of a group that are as usual, where it has some and others."""
    for each in usual:
        if group["identity"].nunique() <= 1:
            break
        matched = pd.Series(True, index=group.index)
        for name, value in each.match.items():
            matched &= column_of(group, name) == text_of(value)
        for name, value in each.prefer.items():
            column = column_of(group, name)
            usually = column == text_of(value)
            if name not in by and (usually & matched).any():
                keep = usually | ~matched | (column == "")
                group, matched = group[keep], matched[keep]
    return group


def _left_out(group: pd.DataFrame, kept: pd.DataFrame, usual: Sequence[Usual]) -> Mapping[str, set[str]]:
    """The settings in which runs with values were left out for those that are usual, with their values."""
    without = group.drop(kept.index)
    without = without[without["value"].notna()]
    names = {name for each in usual for name in each.prefer} if len(without) else set()
    found = {name: set(column_of(without, name)) - set(column_of(kept, name)) - {""} for name in sorted(names)}
    families = " and ".join(sorted({str(family) for family in kept["family"]}))
    return {f"runs of {families} with {name}": values for name, values in found.items() if values}


def _of_group(settings: Mapping[str, str], group: pd.DataFrame, by: Sequence[str], published: bool) -> list[Point]:
    """The point of a group of runs, or those of every index of the metric. What diverged is no value, and counts as failed."""
    finished, failed = group[np.isfinite(group["value"])], group[~np.isfinite(group["value"])]
    if "index" not in by:
        return [_point(settings, finished, failed, by, published)]
    found = finished.groupby("index", sort=True)
    return [_point({**settings, "index": text_of(index)}, mine, failed, by, published) for index, mine in found]


def _point(settings: Mapping[str, str], finished: pd.DataFrame, failed: pd.DataFrame, by: Sequence[str], published: bool) -> Point:
    settings = {name: settings[name] for name in by}
    if published and len(finished) and finished["seed"].isna().all():
        if len(finished) > 1:
            raise UserError(f"{len(finished)} published values are at one place of the figure ({_named(settings)}); choose with --only")
        row = finished.iloc[0]
        return Point(settings, {}, float(row["value"]), float(row["interval"]) if "interval" in row else None)  # a fit of unknown seed has none
    _check_alike(settings, finished, by)
    if finished["seed"].isna().any():
        raise UserError(f"a run of {_named(settings)} has no seed ({finished.loc[finished['seed'].isna(), 'run_id'].iloc[0]})")
    seeds: dict[int, float] = {}
    for seed, value, run_id in zip(finished["seed"], finished["value"], finished["run_id"], strict=True):
        if int(seed) in seeds and not (published and np.isclose(seeds[int(seed)], value, rtol=SAME)):
            raise UserError(
                f"several runs of {_named(settings)} have the seed {int(seed)} ({run_id} is one of them): they cannot be averaged over seeds"
            )
        seeds.setdefault(int(seed), float(value))
    alike = failed[failed["identity"].isin(finished["identity"])] if len(finished) else failed
    return Point(settings, seeds, failed=len(set(alike["seed"]) - set(seeds)), runs=tuple(finished["run_id"]))


def _identity(frame: pd.DataFrame) -> pd.Series[str]:
    """All settings of every row but the seed, as one text."""
    return _together([frame[name] for name in IDENTITY if name in frame], frame)


def _together(columns: Sequence[pd.Series[Any]], frame: pd.DataFrame) -> pd.Series[str]:
    """The values of a frame's columns as one text a row."""
    rows = zip(*(column.tolist() for column in columns), strict=True) if columns else [()] * len(frame)
    return pd.Series(["\n".join(map(str, row)) for row in rows], index=frame.index, dtype=object)


def _check_alike(settings: Mapping[str, str], group: pd.DataFrame, by: Sequence[str]) -> None:
    """Raise a UserError where runs differ in more than their seeds."""
    if group["identity"].nunique() <= 1:
        return
    varying = {name: sorted(set(column_of(group, name)), key=natural) for name in settings_of(group) if name not in (*by, "store", "source")}
    varying = {name: values for name, values in varying.items() if len(values) > 1}
    if varying:
        shown = "; ".join(f"{name}: {shortened(', '.join(value or 'none' for value in values))}" for name, values in list(varying.items())[:4])
        raise UserError(
            f"the figure would average over settings that vary at {_named(settings)}: {shown}. "
            f"Choose with --only {next(iter(varying))}=..., or show the runs of one suite with --suite FILE"
        )


def _named(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items() if value) or "one point"
