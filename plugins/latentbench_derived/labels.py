"""`labels_to_reach` and `label_efficiency`: labels that nearest neighbours need for an accuracy (Poisson VAE, section 4: the "5x")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from latentbench.reporting import Derived, Measure, Options, Query, UserError, alike, arrays_of, by_seed, matching, named, select, summary
from latentbench_derived.curves import crossing, isotonic
from latentbench_derived.reference import References, settings_in, widened
from latentbench_derived.resampling import Array, Bounds, Resampling


class LabelOptions(Options):
    """Options of `labels_to_reach`."""

    accuracy: float = Field(0.8, gt=0, lt=1, description="The target accuracy.")
    of: str = Field("knn_accuracy", description="The accuracy's metric, whose index is the number of labels.")
    confidence: float = Field(0.99, gt=0, lt=1, description="Of the intervals.")


@dataclass(frozen=True)
class Learning:
    """A model's accuracies over numbers of labels `sizes` [P]: of every seed and draw [S, P, D], or published means [1, P, 1]."""

    sizes: Array
    accuracies: Array
    seeds: tuple[int, ...]

    @property
    def n(self) -> int:
        """The number of seeds that there can be an interval over."""
        return len(self.seeds)

    def labels(self, accuracy: float, resampling: Resampling) -> Bounds:
        """How many labels reach an accuracy.

        Mean accuracies over resampled seeds and draws, made non-decreasing by isotonic regression and joined by lines over the logarithm of the
        number of labels.
        """
        draws = resampling.draws(self.accuracies.shape[2])
        seeds = resampling.seeds(self.seeds) if self.seeds else np.ones((len(draws), 1))
        means = np.einsum("rs,spd,rd->rp", seeds, self.accuracies, draws, optimize=True)
        curve = isotonic(means)
        return crossing(curve, np.broadcast_to(self.sizes, curve.shape), np.full(len(curve), accuracy), log=True)


class OfLabels(Derived):
    """Base of what is read off the accuracy over numbers of labels."""

    options: Any

    def measured(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """The accuracies at every number of labels: rows of runs, and rows of published means."""
        return select(stores, replace(query, metric=self.options.of, index=None, every_index=True))

    def kinds(self, values: pd.DataFrame) -> list[pd.DataFrame]:
        """The rows of runs, and those of published means, as far as there are any that did not fail."""
        return [rows for _, rows in values.groupby("kind") if rows["value"].notna().any()]

    def learning(self, rows: pd.DataFrame) -> Learning | None:
        """The accuracies of a group of rows; None where all of its runs failed.

        Raises:
            UserError: a run's draws are not stored, or runs have others than the rest.
        """
        if (rows["kind"] == "summary").any():
            points = rows.sort_values("index")
            return Learning(points["index"].to_numpy(float), points["value"].to_numpy(float)[None, :, None], ())
        finished = by_seed(rows[rows["value"].notna()].drop_duplicates(["store", "run_id"]))
        if finished.empty:
            return None
        found = [self._draws(row) for _, row in finished.iterrows()]
        sizes, accuracies = found[0]
        for (other, draws), (_, row) in zip(found, finished.iterrows(), strict=True):
            if not np.array_equal(other, sizes) or draws.shape != accuracies.shape:
                raise UserError(f"{self.name}: run {row['run_id']} has other numbers of labels or draws than {finished['run_id'].iloc[0]}")
        return Learning(sizes, np.stack([draws for _, draws in found]), tuple(finished["seed"]))

    def _draws(self, row: pd.Series[Any]) -> tuple[Array, Array]:
        """Numbers of labels [P] and the accuracies of all draws [P, D] of a run."""
        arrays = arrays_of(row["store"], row["run_id"], row["evaluation_id"]) or {}
        sizes, accuracies = (name if row["split"] == "validation" else f"{name}_{row['split']}" for name in ("sizes", "accuracies"))
        if not {sizes, accuracies} <= arrays.keys():
            raise UserError(
                f"{self.name} needs the accuracy of every draw, and run {row['run_id']} has only means of '{self.options.of}' "
                f"({row['evaluation_id']}): its arrays were removed, or an older version measured it; run its suite again"
            )
        return arrays[sizes].astype(float), arrays[accuracies].astype(float)

    def row(self, rows: pd.DataFrame, query: Query, labels: Bounds, seeds: int) -> dict[str, Any]:
        """The row of a group."""
        failed = int(rows.loc[rows["kind"] == "run", "value"].isna().sum())
        return summary(rows, ["seed"], query, failed=failed, **labels.fields(self.options.confidence, seeds))


class LabelsToReach(OfLabels):
    """How many labels k nearest neighbours need to reach an accuracy; `> 5000` where the largest number that was measured does not reach it."""

    name = "labels_to_reach"
    options_model = LabelOptions
    options: LabelOptions
    measure = Measure("lower", "labelled images", "Labelled images that nearest neighbours need for a given accuracy.")

    def derive(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """A row for every group of runs that differ in their seeds alone."""
        resampling = Resampling(self.options.confidence)
        found = []
        for group in (group for rows in self.kinds(self.measured(stores, query)) for group in alike(rows, ())):
            learning = self.learning(group)
            if learning is not None:
                found.append(self.row(group, query, learning.labels(self.options.accuracy, resampling), learning.n))
        return pd.DataFrame(found)


class LabelEfficiencyOptions(LabelOptions):
    """Options of `label_efficiency`."""

    to: str = Field("family=gaussian", description="The settings that tell the reference from the runs that are compared with it.")


class LabelEfficiency(OfLabels):
    """How many times fewer labels than a reference a model needs to reach an accuracy: labels of the reference over labels of the model.

    Where one of the two is censored so is the ratio; where both are on the same side, nothing is known but that it is more than 0. All models have
    the same draws of labelled images, which are resampled together.
    """

    name = "label_efficiency"
    options_model = LabelEfficiencyOptions
    options: LabelEfficiencyOptions
    measure = Measure("higher", "ratio", "Labelled images that a reference needs for a given accuracy, over those that the model needs.")

    def derive(self, stores: Sequence[Path], query: Query) -> pd.DataFrame:
        """A row for every group of runs but the reference's own."""
        to, resampling = settings_in(self.options.to, self.name), Resampling(self.options.confidence)
        wide, shown = widened(query, to)
        values = self.measured(stores, wide)
        visible, rows = matching(values, shown).index, []
        for kind in self.kinds(values):
            references = References(kind, to, (), self.name)
            known: dict[Any, tuple[Bounds, int] | None] = {}
            for group in alike(kind, ()):
                needed = self._needed(group, resampling, known) if group.index.isin(visible).any() else None
                reference = group if needed is None else references.of(group)
                if needed is None or reference.index[0] == group.index[0]:
                    continue  # it is not shown, all of its runs failed, or it is a reference itself
                other = self._needed(reference, resampling, known)
                if other is None:
                    raise UserError(f"{self.name}: all runs of a reference failed: {named(reference)}")
                rows.append(self.row(group, query, other[0] / needed[0], min(needed[1], other[1])))
        if not rows:
            raise UserError(f"{self.name}: there is nothing to compare with the runs with {self.options.to}")
        return pd.DataFrame(rows)

    def _needed(self, group: pd.DataFrame, resampling: Resampling, known: dict[Any, tuple[Bounds, int] | None]) -> tuple[Bounds, int] | None:
        """The labels that a group needs, and its number of seeds; None where all of its runs failed. Several groups have one reference."""
        first = group.index[0]
        if first not in known:
            learning = self.learning(group)
            known[first] = None if learning is None else (learning.labels(self.options.accuracy, resampling), learning.n)
        return known[first]
