"""Stored results for Python and notebooks: a results folder with its tables as frames, and a run with its trained model."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from latentbench.errors import UserError
from latentbench.failure import Failure
from latentbench.results.lookup import find_run, rows_of, stored
from latentbench.results.store import Store, title

if TYPE_CHECKING:  # torch comes with them: tables do without
    from torch import Tensor

    from latentbench.data.dataset import Split
    from latentbench.evaluation.trained import Codes, Trained
    from latentbench.models.model import Model
    from latentbench.registry import Registry
    from latentbench.suites.settings import Run


@dataclass(frozen=True)
class Folder:
    """A results folder: `latentbench.open("results")`. A table is read when it is first asked for, and as it was then from there on."""

    path: Path

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row for every run: its settings (nested ones as JSON), outcome, cost and provenance."""
        return self._store.read("runs")

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """A row for every number that was measured; `title` is the evaluation with its options."""
        return self._titled("metrics")

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """A row for every run and evaluation: with which options, versions and sources it measured, where and when."""
        return self._titled("evaluations")

    @cached_property
    def units(self) -> pd.DataFrame:
        """A row for every number of a latent."""
        return self._titled("units")

    @cached_property
    def history(self) -> pd.DataFrame:
        """What training recorded: `run_id`, `step`, `name`, `value`."""
        return self._store.read("history")

    @cached_property
    def summaries(self) -> pd.DataFrame:
        """Published or aggregated values, with an interval and a source."""
        return self._store.read("summaries")

    def load(self, run: str, device: str = "cpu") -> Loaded:
        """A run with its trained model, as `latentbench.load`."""
        return load_run(self.path, run, device)

    def arrays(self, run: str) -> dict[str, dict[str, Tensor]]:
        """The arrays that the evaluations of a run made for figures: the evaluation with its options -> name -> array.

        Raises:
            UserError: there is not one such run, or an array is damaged.
        """
        from latentbench.results.tensors import read_tensors

        run_id, titles = find_run(self._store, run), self._store.evaluation_titles()
        folder = self.path / "arrays" / run_id
        files = sorted(folder.glob("*.safetensors"))
        return {titles.get(file.stem, file.stem): read_tensors(file) for file in files}

    def compare(self, metric: str = "nelbo", **query: Any) -> pd.DataFrame:
        """A leaderboard of a metric as a frame (`latentbench.reporting.Comparison.frame`); `query` are fields of `latentbench.reporting.Query`.

        Raises:
            UserError: the query is wrong, or nothing matches.
        """
        from latentbench.reporting import Query, compare

        return compare([self.path], Query(metric, **query)).frame()

    @property
    def _store(self) -> Store:
        return Store(self.path)

    def _titled(self, table: str) -> pd.DataFrame:
        frame = self._store.read(table)
        titles = frame["evaluation_id"].map(self._store.evaluation_titles()).fillna(frame["evaluation"])
        frame.insert(0, "title", titles)
        return frame


@dataclass(frozen=True, repr=False)
class Loaded:
    """A run with its trained model: `latentbench.load("31ef78")`.

    Args:
        run: its settings, as they were resolved.
        row: its row in the table `runs`; columns that hold JSON are texts.
        model: the trained model, in eval mode.
        metrics: what was measured on it, as `Folder.metrics`.
    """

    run: Run
    row: Mapping[str, Any]
    model: Model
    metrics: pd.DataFrame

    def __repr__(self) -> str:
        return f"<run {self.run.id}: {self.run.about}>"

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The data that it was trained on (`train`) and is scored on, by name of the split: images and labels.

        Raises:
            UserError: the data are missing, or are not those that it was trained on.
        """
        return self._trained.splits

    def images(self, split: str = "validation") -> Tensor:
        """The images of a split [N, *data_shape]."""
        return self._split(split).images

    def labels(self, split: str = "validation") -> Tensor | None:
        """The labels of a split [N]; None where the data set has none."""
        return self._split(split).labels

    def codes(self, split: str = "validation") -> Codes:
        """The codes of a split of N images, as evaluations get them: `sample`, `mean`, `location` [N, K], `representation`, `costs`, `kl`."""
        self._split(split)
        return self._trained.codes(split)

    def encode(self, images: Tensor) -> Codes:
        """The codes of other images [N, *data_shape], float32 and prepared as those of its data set are.

        The sampling noise depends on the run's seed alone: the images of the validation split have the codes that `codes()` gives.

        Raises:
            UserError: the images have another shape.
        """
        from latentbench.contract import described

        shape = self.model.assembly.data_shape
        if not images.is_floating_point() or images.shape[1:] != shape or len(images) == 0:
            wanted = ", ".join(map(str, ("N", *shape)))
            raise UserError(f"encode(images): expected floating-point images [{wanted}] of '{self.run.dataset}', got {described(images)}")
        return self._given(images).codes("validation")

    def decode(self, z: Tensor) -> Tensor:
        """E[x | z] of codes [N, K]: images [N, *data_shape]."""
        return self._given(self._nothing).decode(z.to(self.model.dtype))

    def prior_samples(self, n: int) -> Tensor | None:
        """`n` samples of the prior [n, K]; None where the family has no prior."""
        return self._given(self._nothing).prior_samples(n)

    @cached_property
    def _trained(self) -> Trained:
        """What an evaluation of this run gets."""
        from latentbench.data.dataset import DataSet, load
        from latentbench.evaluation.trained import Trained
        from latentbench.execution.measurable import other_data
        from latentbench.files import cache_folder

        problem = other_data(self.run, self.model.assembly)
        if problem:
            raise UserError(f"run {self.run.id}: {problem}")
        found = load(cast("DataSet", self.model.assembly.dataset), cache_folder())
        if self.run.limit_data < 1:
            found = found.limited(self.run.limit_data)
        return Trained(self.model, found, self.run.seed)

    @property
    def _nothing(self) -> Tensor:
        import torch

        return torch.zeros(0, *self.model.assembly.data_shape)

    def _given(self, images: Tensor) -> Trained:
        """The same for other images."""
        from latentbench.data.dataset import Split, Splits
        from latentbench.evaluation.trained import Trained

        return Trained(self.model, Splits(Split(images), Split(images)), self.run.seed)

    def _split(self, name: str) -> Split:
        from latentbench.errors import unknown

        if name not in self.splits:
            raise UserError(unknown("split", name, self.splits))
        return self.splits[name]


def open_folder(results: Path) -> Folder:
    """A results folder.

    Raises:
        UserError: it has no results.
    """
    stored(results)
    return Folder(results)


def load_run(results: Path, prefix: str, device: str = "cpu") -> Loaded:
    """The run whose id begins with `prefix`, with its trained model.

    A warning says when a part has another version than the run was trained with, or its code has changed since.

    Raises:
        UserError: there is not one such run, it failed, its model is not stored or does not fit, or a part is not installed.
    """
    from latentbench.execution.measurable import run_of
    from latentbench.plugin_files import with_stored
    from latentbench.registry import load_registry

    store = stored(results)
    run_id = find_run(store, prefix)
    (row,) = rows_of(store, "runs", run_id).to_pylist()
    if row["status"] != "done":
        raise UserError(f"run {run_id} of {results} failed, so there is no trained model: {Failure.from_row(row)}")
    run = run_of(row)
    registry = with_stored(load_registry(), results, run.plugins)
    model = _model(run, store, registry, row["sources"], device)
    return Loaded(run, row, model, _metrics(store, run_id))


def _model(run: Run, store: Store, registry: Registry, sources: str | None, device: str) -> Model:
    """The trained model of a run, built of the parts that there are now."""
    from latentbench.execution.measurable import other_parts
    from latentbench.models.model import build_model
    from latentbench.models.numerics import torch_dtype
    from latentbench.results.provenance import changed, training_sources
    from latentbench.suites.resolve import assemble

    assembly = assemble(run, registry)
    files = changed(json.loads(sources), training_sources(assembly)) if sources else []
    doubts = [other_parts(run, registry), f"it was trained by other code: {', '.join(files)} changed since" if files else ""]
    for doubt in filter(None, doubts):
        warnings.warn(f"run {run.id}: {doubt}; the model may not compute what it did", stacklevel=4)
    model = build_model(assembly, run.seed, device, torch_dtype(run.dtype))
    try:
        model.load_state_dict(store.read_checkpoint(run.id))
    except RuntimeError as error:
        raise UserError(f"run {run.id}: its stored model does not fit its parts as they are now: {' '.join(str(error).split())}") from error
    return model.eval()


def _metrics(store: Store, run_id: str) -> pd.DataFrame:
    evaluations = rows_of(store, "evaluations", run_id).to_pylist()
    titles = {e["evaluation_id"]: title(e["evaluation"], json.loads(e["options"] or "{}")) for e in evaluations}
    frame: pd.DataFrame = rows_of(store, "metrics", run_id).to_pandas()
    frame.insert(0, "title", frame["evaluation_id"].map(titles).fillna(frame["evaluation"]))
    return frame
