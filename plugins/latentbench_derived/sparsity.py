"""`sparsity_at_error` and `sparsity_gain`: sparsity of a family at the squared error of another (Poisson VAE, Fig. 5a and section 4)."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from latentbench.reporting import Derived, Measure, Options, Query, UserError, alike, by_seed, column_of, matching, named, select, summary
from latentbench_derived.curves import crossing, isotonic, sigmoid_at
from latentbench_derived.reference import References, settings_in, widened
from latentbench_derived.resampling import REPLICATES, Array, Bounds, Resampling

SIGMOID_POINTS = 5
"""A sigmoid has four numbers."""


def is_number(text: str) -> bool:
    """Whether a setting's text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


class CurveOptions(Options):
    """Options of all that is read off a curve of sparsity against error."""

    of: str = Field("lifetime_sparsity", description="The sparsity.")
    at: str = Field("sse_at_location", description="The error.")
    over: str = Field("beta", description="The setting that varies along a curve.")
    fit: Literal["linear", "sigmoid"] = Field("linear", description="Lines between the points, or a sigmoid through all, as the paper draws it.")
    confidence: float = Field(0.99, gt=0, lt=1, description="Of the intervals.")


@dataclass(frozen=True)
class Curve:
    """Means over resampled seeds of error and sparsity, [R, P] each, at P values of the setting that varies; `seeds` is the least number of them."""

    error: Array
    sparsity: Array
    seeds: int

    @classmethod
    def through(cls, rows: pd.DataFrame, over: str, resampling: Resampling) -> Curve:
        """The curve through the finished runs among `rows`."""
        places = column_of(rows, over)
        points = sorted(set(places), key=float)
        measured = [by_seed(rows[places == point]) for point in points]
        weights = [resampling.seeds(tuple(point["seed"])) for point in measured]
        error, sparsity = (
            np.stack([w @ point[name].to_numpy() for w, point in zip(weights, measured, strict=True)], axis=1) for name in ("error", "value")
        )
        return cls(error, sparsity, min(map(len, measured)))

    def at(self, target: Array, fit: str) -> Bounds:
        """The sparsity at an error [R]. The error is taken not to fall along the curve; beyond its ends the sparsity is censored."""
        error = isotonic(self.error)
        found = crossing(error, self.sparsity, target)
        if fit == "linear":
            return found
        fitted, inside = sigmoid_at(self.error, self.sparsity, target), found.low == found.high
        return Bounds(np.where(inside, fitted, found.low), np.where(inside, fitted, found.high))


class OfCurves(Derived):
    """Base of what is read off curves: it finds them."""

    options: Any

    def measured(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """Runs that have a squared error or a sparsity, the latter as `value`, the former as `error`; failed runs have neither."""
        key = ["store", "run_id"]
        values, errors = (select(stores, replace(query, metric=metric, values_of="runs")) for metric in (self.options.of, self.options.at))
        both = pd.concat([values, errors], ignore_index=True).drop_duplicates(key).drop(columns="value").set_index(key)
        for name, frame in (("value", values), ("error", errors)):
            both[name] = frame.set_index(key)["value"].replace([np.inf, -np.inf], np.nan)
        return both.reset_index()

    def curves(self, rows: pd.DataFrame, resampling: Resampling, shown: pd.Index[Any]) -> Iterator[tuple[pd.DataFrame, Curve]]:
        """Every group of runs, some of them `shown`, that differ in `over` alone, with their curve; groups with one value of it are no curves.

        Raises:
            UserError: there is no curve, one has too few points for its fit, or some of its runs lack a metric.
        """
        found = 0
        for group in alike(rows, [self.options.over]):
            if not group.loc[group.index.isin(shown), "value"].notna().any() or column_of(group, self.options.over).nunique() < 2:
                continue
            for text in set(column_of(group, self.options.over)):
                if not is_number(text):
                    raise UserError(f"{self.name}: a curve is over numbers, and {self.options.over} has the value '{text}'")
            curve = self.through(group, resampling)
            points = curve.error.shape[1]
            if self.options.fit == "sigmoid" and points < SIGMOID_POINTS:
                raise UserError(f"{self.name}: a curve of {points} points is too short for a sigmoid, which needs {SIGMOID_POINTS}; take fit=linear")
            found += 1
            yield group, curve
        if not found:
            raise UserError(f"{self.name}: no runs with '{self.options.of}' differ in {self.options.over} alone, so there is no curve")

    def through(self, group: pd.DataFrame, resampling: Resampling) -> Curve:
        """The curve through the finished runs of a group.

        Raises:
            UserError: some of them lack a metric, or all runs of a point failed.
        """
        finished = group[group["status"] != "failed"]
        for column, metric in (("value", self.options.of), ("error", self.options.at)):
            without = finished[finished[column].isna()]
            if len(without):
                raise UserError(f"{self.name} needs '{metric}' of {named(without)} too")
        lost = sorted(set(column_of(group, self.options.over)) - set(column_of(finished, self.options.over)))
        if lost:
            raise UserError(f"{self.name}: all runs with {self.options.over}={lost[0]} failed ({named(group[group['status'] == 'failed'])})")
        return Curve.through(finished, self.options.over, resampling)

    def row(self, rows: pd.DataFrame, query: Query, found: Bounds, seeds: int) -> dict[str, Any]:
        """The row of a curve."""
        failed = int(rows["value"].isna().sum())
        fields = found.fields(self.options.confidence, seeds)
        return summary(rows.drop(columns="error"), ["seed", self.options.over], query, failed=failed, **fields)


class SparsityAtErrorOptions(CurveOptions):
    """Options of `sparsity_at_error`."""

    error: float = Field(description="The squared error at which sparsities are read off.")


class SparsityAtError(OfCurves):
    """Lifetime sparsity at a squared error: read off the curve through runs that differ in their KL weight, whose seeds are resampled."""

    name = "sparsity_at_error"
    options_model = SparsityAtErrorOptions
    options: SparsityAtErrorOptions
    measure = Measure("higher", "0 to 1", "Lifetime sparsity at a given squared error, on the curve over KL weights.")

    def derive(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """A row for every curve."""
        resampling = Resampling(self.options.confidence)
        rows = []
        values = self.measured(stores, query)
        for group, curve in self.curves(values, resampling, values.index):
            found = curve.at(np.full(len(curve.error), self.options.error), self.options.fit)
            rows.append(self.row(group, query, found, curve.seeds))
        return pd.DataFrame(rows)


class SparsityGainOptions(CurveOptions):
    """Options of `sparsity_gain`."""

    to: str = Field("family=gaussian encoder=conv", description="The settings that tell the reference from a curve's runs.")
    error: float | None = Field(None, gt=0, description="The reference's squared error, where no run of it is stored; with `sparsity`.")
    sparsity: float | None = Field(None, gt=0, description="The reference's sparsity.")


class SparsityGain(OfCurves):
    """How many times sparser than a reference, at the reference's squared error: the 1.7 and 2.4 of section 4, for Poisson VAEs with a linear and a
    convolutional encoder, with the convolutional Gaussian VAE as reference (squared error 71.49, sparsity .37).
    """

    name = "sparsity_gain"
    options_model = SparsityGainOptions
    options: SparsityGainOptions
    measure = Measure(
        "higher", "ratio", "Lifetime sparsity over that of a reference, at the reference's squared error, on the curve over KL weights."
    )

    def derive(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """A row for every curve."""
        if (self.options.error is None) != (self.options.sparsity is None):
            raise UserError(f"{self.name}: `error` and `sparsity` of the reference are given together, or neither")
        resampling = Resampling(self.options.confidence)
        wide, shown = widened(query, self._to()) if self.options.error is None else (query, {})
        values = self.measured(stores, wide)
        references = References(values, self._to(), [self.options.over], self.name) if self.options.error is None else None
        rows = []
        for group, curve in self.curves(values, resampling, matching(values, shown).index):
            reference = self._point() if references is None else self._reference(references.of(group), resampling)
            gain = curve.at(reference.error[:, 0], self.options.fit) / Bounds.exactly(reference.sparsity[:, 0])
            rows.append(self.row(group, query, gain, min(curve.seeds, reference.seeds)))
        return pd.DataFrame(rows)

    def _to(self) -> dict[str, str]:
        return settings_in(self.options.to, self.name)

    def _point(self) -> Curve:
        """The reference that is given as numbers, without uncertainty."""
        error, sparsity = (np.full((REPLICATES + 1, 1), number) for number in (self.options.error, self.options.sparsity))
        return Curve(error, sparsity, sys.maxsize)

    def _reference(self, rows: pd.DataFrame, resampling: Resampling) -> Curve:
        """The reference, of whose runs the seeds are resampled too: a single point."""
        over = self.options.over
        points = sorted(set(column_of(rows, over)))
        if len(points) != 1:
            raise UserError(f"{self.name}: the reference ({self.options.to}) has {over} = {', '.join(points)}; add one of them to `to`")
        return self.through(rows, resampling)
