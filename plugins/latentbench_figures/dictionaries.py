"""Figures 4 and 12: dictionaries, samples and reconstructions, as pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from latentbench.reporting import Canvas, Options, nothing
from latentbench.reporting.drawing import DOUBLE, label, sheet
from latentbench_figures.common import PaperFigure, joined, one_run, ordered
from latentbench_figures.tiles import show, tiled

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

SHOWN = ("poisson", "gaussian", "laplace", "categorical", "lca", "ista")
"""What the paper's figure shows."""
ARRAYS = {"samples": ("images",), "reconstructions": ("images", "decoded_sample")}
"""The arrays of figure 12, by evaluation."""
PAIRS = 8
"""Images in a row, and their reconstructions in the next."""


class DictionariesOptions(Options):
    """Options of `fig4`."""

    dataset: str = Field("van_hateren", description="Data set.")
    encoder: str = Field("linear", description="Encoder, of families that have one.")
    estimator: str = Field("mc", description="Gradient estimator, of families that have one.")
    seed: int | None = Field(None, description="Seed of the runs that are shown; null: the first that each family has.")
    sparsity: float = Field(0.9, ge=0, le=1, description="Of sparse coders the one of least squared error is shown whose lifetime sparsity is this.")


class Dictionaries(PaperFigure):
    """Dictionaries of linear models, elements in ascending order of their KL where units have one, else of their use; with counts of dead units.

    Fig. 4 of the Poisson VAE paper. Each element is scaled by its largest magnitude. Units are counted by the thresholds of the paper's figures
    (`active_units(rule=figure4)`). Of a family with many settings, as sparse coders have, the one with the least squared error is shown among those
    that are as sparse as the option `sparsity` asks for.
    """

    name = "fig4"
    options_model = DictionariesOptions
    options: DictionariesOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every family."""
        where = {"dataset": self.options.dataset, "encoder": ["", self.options.encoder], "estimator": ["", self.options.estimator]}
        found = canvas.arrays_of("dictionary", where)
        if found.empty:
            raise nothing(canvas, self.name, f"arrays of the evaluation 'dictionary' of runs on '{self.options.dataset}'")
        runs = one_run(self._best(canvas, found), ordered(found["family"]), self.options.seed)
        for family in [name for name in SHOWN if name not in runs and name not in set(found["family"])]:
            canvas.lacks(f"{family}: no dictionary")
        columns = min(3, len(runs))
        rows = -(-len(runs) // columns)
        drawing, axes = sheet(rows, columns, DOUBLE, rows * (7 + DOUBLE / columns / 2))
        for panel in axes.flat[len(runs) :]:
            panel.set_axis_off()
        for panel, (family, run) in zip(axes.flat, runs.items(), strict=False):
            elements = canvas.arrays(run, "elements")[0]
            show(panel, tiled(elements, math.ceil(math.sqrt(2 * len(elements)))), label(family) + self._dead(canvas, run))
        return drawing

    def _best(self, canvas: Canvas, found: pd.DataFrame) -> pd.DataFrame:
        """The runs, without all but the best setting of families that have many."""
        kept = []
        for family, group in found.groupby("family", sort=False):
            settings = ["family_options", "training"]
            several = len(group.groupby(settings, dropna=False)) > 1  # as JSON
            kept.append(self._best_of(canvas, str(family), group) if several else group)
        return pd.concat(kept)

    def _best_of(self, canvas: Canvas, family: str, group: pd.DataFrame) -> pd.DataFrame:
        where = {name: sorted(set(group[name].dropna())) for name in ("family", "dataset", "family_options", "training", "encoder", "estimator")}
        where = {name: values for name, values in where.items() if values}
        errors, sparsities = (canvas.points(name, ("family_options", "training"), where, quiet=True) for name in ("sse_at_mean", "lifetime_sparsity"))
        errors, sparsities = joined(errors, sparsities)
        sparse = [error for error, sparsity in zip(errors, sparsities, strict=True) if sparsity.mean >= self.options.sparsity]
        if not sparse:
            canvas.lacks(f"{family}: of {len(errors)} settings none has a lifetime sparsity of {self.options.sparsity:g}; see --option sparsity=")
            return group.head(0)
        best = min(sparse, key=lambda point: point.mean)
        canvas.note(f"{family}: the best of {len(sparse)} settings whose lifetime sparsity is at least {self.options.sparsity:g}.")
        return group[(group["family_options"] == best["family_options"]) & (group["training"] == best["training"])]

    def _dead(self, canvas: Canvas, run: dict[str, Any]) -> str:
        """The count of dead units of a run, and the published one of its family."""
        ours = canvas.values("dead_units", evaluation="active_units(rule=figure4)")
        mine = ours["value"].dropna()[ours["run_id"] == run["run_id"]].tolist() if len(ours) else []
        settings = {name: run[name] for name in ("family", "dataset", "encoder")}
        theirs = canvas.having(canvas.values("dead_units", published=True), settings)
        parts = [f"{mine[0]:g}"] if len(mine) else []
        parts += [f"published: {theirs['value'].iloc[0]:g}"] if len(theirs) else []
        return f", dead units: {' ('.join(parts)}{')' if len(parts) > 1 else ''}" if parts else ""


class PicturesOptions(Options):
    """Options of `fig12`."""

    dataset: str = Field("mnist", description="Data set.")
    encoder: str = Field("conv", description="Encoder.")
    latent_dim: int = Field(10, gt=0, description="Latent dimensions.")
    estimator: str = Field("mc", description="Gradient estimator.")
    seed: int | None = Field(None, description="Seed of the runs that are shown; null: the first that each family has.")


class Pictures(PaperFigure):
    """Decoded samples of the prior (left); and images, each above what is decoded of one true sample of its posterior (right).

    Fig. 12 of the Poisson VAE paper, from the arrays of `samples` and `reconstructions`.
    """

    name = "fig12"
    options_model = PicturesOptions
    options: PicturesOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A row for every family."""
        o = self.options
        where = {"dataset": o.dataset, "encoder": ["", o.encoder], "latent_dim": o.latent_dim, "estimator": ["", o.estimator]}
        frames = {name: canvas.arrays_of(name, where) for name in ARRAYS}
        families = ordered({family for frame in frames.values() for family in frame["family"]})
        if not families:
            raise nothing(
                canvas, self.name, f"arrays of 'samples' or 'reconstructions' of runs on '{o.dataset}' with {o.latent_dim} latent dimensions"
            )
        runs = {name: one_run(frame, families, o.seed) for name, frame in frames.items()}
        level = self._white(canvas, runs)
        drawing, axes = sheet(len(families), 2, 150, 50 * len(families), width_ratios=[1, 2])
        for family, (left, right) in zip(families, axes, strict=True):
            for panel, name in ((left, "samples"), (right, "reconstructions")):
                if family in runs[name]:
                    images, *decoded = canvas.arrays(runs[name][family], *ARRAYS[name])
                    picture = pairs(images, decoded[0], level) if decoded else tiled(images, white=level)
                    show(panel, picture, f"{label(family)}, {name}")
                else:
                    panel.set_axis_off()
                    canvas.lacks(f"{family}: no {name}")
        return drawing

    def _white(self, canvas: Canvas, runs: dict[str, dict[str, dict[str, Any]]]) -> float | None:
        """What is shown as white: the largest number of images that are never negative; None for those whose grey is 0."""
        run = next(iter([*runs["reconstructions"].values(), *runs["samples"].values()]))
        images = canvas.arrays(run, "images")[0]
        never_negative = images.min() >= (0 if runs["reconstructions"] else -0.5 * images.max())  # what is decoded may be, of any images
        return max(1.0, float(images.max())) if never_negative and runs["reconstructions"] else 1.0 if never_negative else None


def pairs(images: Any, decoded: Any, level: float | None) -> Any:
    """Rows of images, each above the row of what is decoded of them; what does not fill a row is left out."""
    columns = min(2 * PAIRS, len(images))
    full = len(images) // columns * columns
    rows = np.stack([images[:full], decoded[:full]])  # [2, N, ...]
    return tiled(np.concatenate([rows[:, i : i + columns].reshape(-1, *images.shape[1:]) for i in range(0, full, columns)]), columns, level)
