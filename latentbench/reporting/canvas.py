"""What figures are drawn from: groups of stored runs, numbers per latent, curves of training, arrays; ours, and published ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from latentbench.errors import UserError, unknown
from latentbench.reporting.drawing import Style, styles
from latentbench.reporting.folder import Folder
from latentbench.reporting.grouping import Point, Usual, grouped
from latentbench.results.asked import Asked
from latentbench.results.selection import check_name, column_of, matching, text_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Canvas:
    """What a figure is drawn from, and what it has to say.

    Args:
        stores: own results folders.
        published: folders with published results.
        only: setting -> allowed values, of own runs, and of published ones that have the setting.
        asked: the suite whose runs and evaluations alone count; None for all.
        evaluations: ids of evaluations, or names with options as in `active_units(rule=paper)`. They choose where a metric was measured by several.
        reserved: families that have the first colours and markers.
        missing: what the figure lacks, a line each; figures add to it.
        notes: remarks that are shown with it.
    """

    stores: Sequence[Path]
    published: Sequence[Path] = ()
    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    asked: Asked | None = None
    evaluations: Sequence[str] = ()
    reserved: Sequence[str] = ()
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The settings and outcome of every own run that counts, a row each, with its folder in `store`.

        Raises:
            UserError: a folder has no results or cannot be read, or `only` names what no run has.
        """
        for name in self.only:
            check_name(name)
        found = pd.concat([folder.runs for folder in self._own], ignore_index=True).drop_duplicates("run_id")
        if self.asked is not None:
            found = found[found["run_id"].isin(self.asked.runs.keys())]
            absent = len(self.asked.runs) - len(found)
            if absent:
                self.lacks(f"{absent} of the {len(self.asked.runs)} runs of the suite '{self.asked.name}' are not there")
        return matching(found, self.only).reset_index(drop=True)

    @cached_property
    def styles(self) -> Mapping[str, Style]:
        """The colour and marker of every family in these folders, published ones included."""
        return styles(self.families, self.reserved)

    @cached_property
    def families(self) -> Sequence[str]:
        """All families in these folders, whatever is selected."""
        return sorted(set().union(*(folder.families for folder in (*self._own, *self._theirs))))

    def lacks(self, what: str) -> None:
        """Say once that something is missing."""
        if what not in self.missing:
            self.missing.append(what)

    def note(self, what: str) -> None:
        """Say something once."""
        if what not in self.notes:
            self.notes.append(what)

    def values(self, metric: str, split: str = "validation", evaluation: str = "", published: bool = False) -> pd.DataFrame:
        """A row for every run, and every index, that has the metric: the run's settings, `value` and `index`. Failed runs have no value.

        Args:
            metric: its name.
            split: the split that it was measured on.
            evaluation: the evaluation that measured it, as in `active_units(rule=paper)`; by default any.
            published: whether of published results: those by seed, or where there are none the summaries, which have an `interval`.

        Raises:
            UserError: a metric was measured by several evaluations of one run.
        """
        if published:
            found = [folder.published(metric, split) for folder in self._theirs]
            return self._alike(pd.concat(found, ignore_index=True)) if found else pd.DataFrame()
        measured = pd.concat([folder.measured(metric, split, evaluation, self._chosen) for folder in self._own], ignore_index=True)
        done = self.runs.merge(measured, on=["run_id", "store"], how="inner")
        if done.empty:
            return done
        return pd.concat([done, self.runs[self.runs["status"] == "failed"].assign(value=np.nan)], ignore_index=True)

    def summaries(self, metrics: Collection[str]) -> pd.DataFrame:
        """The own summaries of some metrics, as studies store them, of settings that `only` allows: with `metric`, `index`, `value`, `interval`."""
        found = pd.concat([folder.summaries(metrics) for folder in self._own], ignore_index=True)
        return matching(found, self.only).reset_index(drop=True)

    def points(
        self,
        metric: str,
        by: Sequence[str],
        where: Mapping[str, Any] | None = None,
        usual: Sequence[Usual] = (),
        published: bool = False,
        evaluation: str = "",
        split: str = "validation",
        quiet: bool = False,
    ) -> list[Point]:
        """The metric by settings, mean and interval over seeds, for runs that have the settings `where`; seeds that are missing are said.

        Args:
            metric, published, evaluation, split: as for `values`.
            by: settings, dotted where nested; `index` is that of the metric.
            where: setting -> its value, or a list of values.
            usual: what a group of runs is narrowed down to where it has other settings too.
            quiet: whether nothing is said of seeds that are missing.

        Raises:
            UserError: a group would average over settings that vary.
        """
        frame = self.having(self.values(metric, split, evaluation, published), where or {})
        points, dropped = grouped(frame, by, usual, published)
        if not (published or quiet):
            for said in dropped:
                self.note(said)
            for point in points:
                if point.lacking:
                    self.lacks(f"{point.title}: {point.lacking}")
        return [point for point in points if point.n]

    @staticmethod
    def having(frame: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
        """The rows of a frame whose settings are these, each one value or a list."""
        for name, wanted in where.items():
            if frame.empty:
                break
            texts = {text_of(value) for value in (wanted if isinstance(wanted, (list, tuple)) else [wanted])}
            frame = frame[column_of(frame, name).isin(texts)]
        return frame

    def unmatched(self, ours: Iterable[Point], theirs: Iterable[Point]) -> None:
        """Say which published points have no counterpart of ours."""
        known = {point.values for point in ours}
        for point in theirs:
            if point.values not in known:
                self.lacks(f"{point.title}: published, and there is no run of it here")

    def units(self, run_ids: Collection[str], metric: str, split: str = "validation") -> Mapping[str, NDArray[np.float64]]:
        """Run id -> its numbers per latent [K], in the order of latents, of those of our runs that have them."""
        found: dict[str, NDArray[np.float64]] = {}
        for folder in self._own:
            found |= folder.units(run_ids, metric, split)
        return found

    def options_of(self, evaluation: str) -> Mapping[str, Mapping[str, Any]]:
        """The options of every evaluation of a name that was measured, by `evaluation_id`, as `values` has them."""
        return {i: options for folder in self._own for i, options in folder.options_of(evaluation).items()}

    def arrays_of(self, evaluation: str, where: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """A row for every run that has arrays of an evaluation: its settings, `evaluation_id` and `options`."""
        found = pd.concat([folder.with_arrays(evaluation, self._chosen) for folder in self._own], ignore_index=True)
        frame = self.having(self.runs.merge(found, on=["run_id", "store"], how="inner"), where or {})
        if frame.duplicated("run_id").any():
            ids = ", ".join(sorted(set(frame["evaluation_id"])))
            raise UserError(f"runs have arrays of several evaluations '{evaluation}' ({ids}); choose one with --evaluation")
        return frame

    def arrays(self, run: Mapping[str, Any], *names: str) -> list[NDArray[Any]]:
        """Arrays of a row of `arrays_of` by their names.

        Raises:
            UserError: the run does not have one of them, or they are damaged.
        """
        folder, place = self._folder(run), (str(run["run_id"]), str(run["evaluation_id"]))
        found = folder.arrays(*place)
        for name in names:
            if name not in found:
                raise UserError(f"{folder.arrays_path(*place)}: {unknown('array', name, found)}")
        return [found[name] for name in names]

    def history(self, names: Sequence[str]) -> pd.DataFrame:
        """What training recorded under these names: `run_id`, `step`, `name`, `value`; of all own runs that count."""
        found = pd.concat([folder.history(names, set(self.runs["run_id"])) for folder in self._own], ignore_index=True)
        return found.drop_duplicates(["run_id", "step", "name"])

    @cached_property
    def _chosen(self) -> Sequence[str]:
        """What the user has chosen of evaluations, or else what the suite asks for."""
        return self.evaluations or sorted(set().union(*self.asked.evaluations.values()) if self.asked is not None else ())

    @cached_property
    def _own(self) -> Sequence[Folder]:
        return [Folder.of(path) for path in self.stores]

    @cached_property
    def _theirs(self) -> Sequence[Folder]:
        return [Folder.of(path) for path in self.published]

    def _folder(self, run: Mapping[str, Any]) -> Folder:
        return next(folder for folder in self._own if str(folder.path) == run["store"])

    def _alike(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Published rows that `only` allows, as far as they have its settings."""
        for name, allowed in self.only.items():
            column = column_of(frame, name)
            frame = frame[column.isin({"", *map(text_of, allowed)})]
        return frame
