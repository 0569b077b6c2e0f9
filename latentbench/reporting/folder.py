"""One results folder as figures read it: each table once, and of it only what is asked for. No torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from latentbench.reporting.chosen import chosen_evaluations
from latentbench.results.lookup import rows_of_runs, stored
from latentbench.results.selection import text_of
from latentbench.results.store import Store
from latentbench.results.tables import RUN, SETTINGS, DamagedError
from latentbench.results.tensors import read_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEASURED = ["run_id", "evaluation_id", "split", "metric", "index", "value"]


@dataclass(frozen=True)
class Folder:
    """A results folder, for reading."""

    store: Store

    @classmethod
    def of(cls, path: Path) -> Folder:
        """The folder at a path.

        Raises:
            UserError: it has no results.
        """
        return cls(stored(path))

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.store.path

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The settings and the outcome of every run."""
        return self.store.read("runs", ["run_id", *RUN, "source", "status", "cost_constant"]).assign(store=str(self.path))

    @cached_property
    def families(self) -> frozenset[str]:
        """Those of runs and summaries."""
        return frozenset([*self.runs["family"].fillna(""), *self._summaries["family"].fillna("")])

    @cached_property
    def _summaries(self) -> pd.DataFrame:
        return self.store.read("summaries", [*SETTINGS, "split", "metric", "index", "value", "interval", "source"])

    def summaries(self, metrics: Collection[str]) -> pd.DataFrame:
        """The summaries of some metrics."""
        return self._summaries[self._summaries["metric"].isin(list(metrics))]

    @cached_property
    def _metrics(self) -> pa.Table:
        return self.store.rows("metrics", MEASURED)

    @cached_property
    def _evaluations(self) -> pd.DataFrame:
        return self.store.read("evaluations", ["run_id", "evaluation", "evaluation_id", "options"])

    def measured(self, metric: str, split: str, evaluation: str = "", evaluations: Sequence[str] = ()) -> pd.DataFrame:
        """`run_id`, `store`, `evaluation_id`, `index` and `value` of a metric.

        Args:
            metric: its name.
            split: the split that it was measured on.
            evaluation: the evaluation that measured it, a name with some of its options; any if it is empty.
            evaluations: what the user has chosen (`chosen_evaluations`), where several have measured it.

        Raises:
            UserError: an evaluation that the user has chosen is unknown.
        """
        rows = self._metrics.filter(pc.and_(pc.equal(self._metrics["metric"], metric), pc.equal(self._metrics["split"], split)))
        found: pd.DataFrame = rows.select(["run_id", "evaluation_id", "index", "value"]).to_pandas()
        found = found.assign(store=str(self.path))
        if evaluation:
            return found[[self._is(name, evaluation) for name in found["evaluation_id"]]]
        return found[found["evaluation_id"].isin(self._chosen(set(found["evaluation_id"]), evaluations))]

    def published(self, metric: str, split: str) -> pd.DataFrame:
        """Published values of a metric by seed, or where there are none its summaries."""
        by_seed = self.runs.merge(self.measured(metric, split), on=["run_id", "store"], how="inner")
        if len(by_seed):
            return by_seed
        rows = self._summaries
        return rows[(rows["metric"] == metric) & (rows["split"] == split)].assign(store=str(self.path), run_id=None, seed=None)

    def options_of(self, evaluation: str) -> dict[str, dict[str, Any]]:
        """`evaluation_id` -> options of the evaluations of a name."""
        rows = self._evaluations[self._evaluations["evaluation"] == evaluation].drop_duplicates("evaluation_id")
        return {str(i): json.loads(options or "{}") for i, options in zip(rows["evaluation_id"], rows["options"], strict=True)}

    def with_arrays(self, evaluation: str, evaluations: Sequence[str] = ()) -> pd.DataFrame:
        """`run_id`, `store`, `evaluation_id` and `options` of every evaluation of a name whose arrays are there."""
        rows = self._evaluations[self._evaluations["evaluation"] == evaluation]
        rows = rows[rows["evaluation_id"].isin(self._chosen(set(rows["evaluation_id"]), evaluations))]
        there = [self.arrays_path(run_id, name).is_file() for run_id, name in zip(rows["run_id"], rows["evaluation_id"], strict=True)]
        return rows.loc[there, ["run_id", "evaluation_id", "options"]].assign(store=str(self.path))

    def arrays(self, run_id: str, evaluation_id: str) -> dict[str, NDArray[Any]]:
        """The arrays that an evaluation has made.

        Raises:
            DamagedError: they are damaged, or were removed since.
        """
        path = self.arrays_path(run_id, evaluation_id)
        try:
            return read_arrays(path)
        except FileNotFoundError as error:
            raise DamagedError(f"{path} was removed while the figure was drawn; draw it again") from error

    def units(self, run_ids: Collection[str], metric: str, split: str) -> dict[str, NDArray[np.float64]]:
        """Run id -> its numbers per latent [K], in the order of latents, of the runs that have them."""
        rows: pd.DataFrame = rows_of_runs(self.store, "units", run_ids, ["run_id", "split", "metric", "unit", "value"]).to_pandas()
        mine = rows[(rows["metric"] == metric) & (rows["split"] == split)].sort_values("unit")
        return {str(run_id): group["value"].to_numpy(dtype=np.float64) for run_id, group in mine.groupby("run_id")}

    def history(self, names: Sequence[str], run_ids: Collection[str]) -> pd.DataFrame:
        """What training recorded under these names, of these runs."""
        rows = self.store.rows("history", ["run_id", "step", "name", "value"])
        chosen = pc.and_(pc.is_in(rows["name"], pa.array(names, pa.string())), pc.is_in(rows["run_id"], pa.array(sorted(run_ids), pa.string())))
        frame: pd.DataFrame = rows.filter(chosen).to_pandas()
        return frame

    @cached_property
    def _titles(self) -> dict[str, tuple[str, dict[str, str]]]:
        rows = self._evaluations.drop_duplicates("evaluation_id")
        found = zip(rows["evaluation_id"], rows["evaluation"], rows["options"], strict=True)
        return {i: (name, {key: text_of(value) for key, value in json.loads(options or "{}").items()}) for i, name, options in found}

    def _chosen(self, ids: set[str], evaluations: Sequence[str]) -> set[str]:
        """Of evaluations those that the user has chosen, where there are some of them; else all."""
        return ids & chosen_evaluations(self.store, evaluations) or ids if evaluations else ids

    def _is(self, evaluation_id: str, wanted: str) -> bool:
        """Whether an evaluation is `wanted`, a name with some of its options, as in `active_units(rule=paper)`."""
        name, options = self._titles.get(evaluation_id, ("", {}))
        of, _, inside = wanted.partition("(")
        pairs = [pair.strip().partition("=") for pair in inside.removesuffix(")").split(",") if pair.strip()]
        return name == of and all(options.get(key) == value for key, _, value in pairs)

    def arrays_path(self, run_id: str, evaluation_id: str) -> Path:
        """Where the arrays of an evaluation are, if it has made some."""
        return self.path / "arrays" / run_id / f"{evaluation_id}.safetensors"
