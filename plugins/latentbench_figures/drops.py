"""Figure 7: relative drop of performance over gradient estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from latentbench.reporting import Canvas, Options, Point, nothing
from latentbench.reporting.drawing import DOUBLE, label, legend, sheet
from latentbench_figures.common import USUAL, PaperFigure, called, key, marks, ordered, values_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

METHODS = {"exact": "EX", "mc": "MC", "straight_through": "ST"}
"""Estimators in the order of the paper, and its names of them."""


class DropOptions(Options):
    """Options of `fig7`."""

    families: list[str] = Field(default=["poisson", "gaussian"], min_length=1, description="Families.")
    datasets: list[str] = Field(default=["van_hateren", "mnist"], min_length=1, description="Data sets, a row each.")
    latent_dim: int = Field(512, gt=0, description="Latent dimensions.")
    estimators: list[str] = Field(default=[*METHODS], min_length=1, description="Gradient estimators.")


class RelativeDrop(PaperFigure):
    """Relative drop of performance in percent: NELBO above that of the best single seed over all estimators of a family, on one data set with one
    encoder; a marker for every seed, over gradient estimators (EX exact, MC Monte Carlo, ST straight-through).

    Fig. 7 of the Poisson VAE paper. Published seeds are pale, to the right of ours.
    """

    name = "fig7"
    options_model = DropOptions
    options: DropOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A row for every data set, a column for every encoder."""
        o, by = self.options, ("dataset", "encoder", "family", "estimator")
        where = {"dataset": o.datasets, "family": o.families, "latent_dim": o.latent_dim, "beta": 1, "decoder": "linear", "estimator": o.estimators}
        ours, theirs = (canvas.points("nelbo", by, where, USUAL, published) for published in (False, True))
        if not ours:
            raise nothing(canvas, self.name, f"'nelbo' of {', '.join(o.families)} on {', '.join(o.datasets)}")
        canvas.unmatched(ours, theirs)
        encoders, methods = values_of(ours, "encoder", ("linear", "conv")), values_of(ours, "estimator", o.estimators)
        datasets = values_of(ours, "dataset", o.datasets)
        drawing, axes = sheet(len(datasets), len(encoders), DOUBLE, 12 + 45 * len(datasets), sharey="row", sharex=True)
        for dataset, row in zip(datasets, axes, strict=True):
            row[0].set_ylabel("relative drop [%]")
            for encoder, panel in zip(encoders, row, strict=True):
                panel.set_title(f"{called(dataset)}, {called(encoder)}")
                panel.set(xticks=range(len(methods)), xticklabels=[METHODS.get(method, label(method)) for method in methods])
                panel.set_xlim(-0.5, len(methods) - 0.5)
                for points, published in ((ours, False), (theirs, True)):
                    self._seeds(canvas, panel, _drops(points, dataset, encoder), methods, published)
        legend(drawing, key(canvas, {point["family"] for point in ours}, published=bool(theirs)))
        return drawing

    def _seeds(self, canvas: Canvas, panel: Axes, drops: Mapping[str, Mapping[str, list[float]]], methods: Sequence[str], published: bool) -> None:
        """The seeds of every family, side by side at every method."""
        families = ordered(self.options.families)
        room = 0.7 / len(families)
        for family, of in drops.items():
            place = room * (families.index(family) - (len(families) - 1) / 2 + 0.3 * published)
            x = [methods.index(method) + place for method, values in of.items() if method in methods for _ in values]
            y = [value for method, values in of.items() if method in methods for value in values]
            panel.plot(x, y, **{**marks(canvas, family, published=published), "linestyle": "none", "markersize": 3, "markerfacecolor": "none"})


def _drops(points: Sequence[Point], dataset: str, encoder: str) -> dict[str, dict[str, list[float]]]:
    """Family -> estimator -> 100 (nelbo - best) / best of every seed; best is the lowest of the family's seeds with any estimator."""
    here = [point for point in points if (point["dataset"], point["encoder"]) == (dataset, encoder)]
    best = {family: min(min(p.seeds.values()) for p in here if p["family"] == family) for family in {point["family"] for point in here}}
    found: dict[str, dict[str, list[float]]] = {}
    for point in here:
        least = best[point["family"]]
        found.setdefault(point["family"], {})[point["estimator"]] = [100 * (value - least) / least for value in point.seeds.values()]
    return found
