"""Activity and sparsity over the KL weight ("Metabolic cost", arXiv 2602.13421)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from latentbench.reporting import Canvas, Options, Point, nothing
from latentbench.reporting.drawing import DOUBLE, SINGLE, label, legend, plain_log, sheet
from latentbench_figures.common import USUAL, PaperFigure, bars, called, marks, ordered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from matplotlib.lines import Line2D

METRICS = {"posterior_mean": "posterior mean", "lifetime_sparsity": "lifetime sparsity"}
PALEST = 0.3
"""Opacity of the smallest number of latents; that of the largest is 1."""


class MetabolicOptions(Options):
    """Options of `metabolic_cost`."""

    dataset: str = Field("van_hateren", description="Data set.")
    estimator: str = Field("mc", description="Gradient estimator.")
    encoder: str = Field("linear", description="Encoder.")
    families: list[str] = Field(default=["poisson", "gaussian+relu"], min_length=1, description="Families, a column each.")


class MetabolicCost(PaperFigure):
    """Mean activity and lifetime sparsity over the KL weight beta, mean and 99 % interval over seeds; a line for every number of latents K, darker
    where K is larger.

    "Metabolic cost" (arXiv 2602.13421), of which no numbers are published.
    """

    name = "metabolic_cost"
    options_model = MetabolicOptions
    options: MetabolicOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A row for every metric, a column for every family."""
        o = self.options
        where = {"dataset": o.dataset, "estimator": o.estimator, "encoder": o.encoder, "decoder": "linear", "family": o.families}
        found = {metric: canvas.points(metric, ("family", "latent_dim", "beta"), where, USUAL) for metric in METRICS}
        if not found["posterior_mean"]:
            raise nothing(canvas, self.name, f"'posterior_mean' of runs on '{o.dataset}'")
        families = ordered({point["family"] for point in found["posterior_mean"]})
        for name in set(o.families) - set(families):
            canvas.lacks(f"{name}: no run")
        sizes = sorted({int(point["latent_dim"]) for points in found.values() for point in points})
        drawing, axes = sheet(len(METRICS), len(families), SINGLE if len(families) == 1 else DOUBLE, 100, sharex=True, sharey="row")
        for row, (metric, points) in zip(axes, found.items(), strict=True):
            for panel, family in zip(row, families, strict=True):
                self._lines(canvas, panel, [point for point in points if point["family"] == family], sizes)
            row[0].set_ylabel(METRICS[metric])
        for panel, family in zip(axes[0], families, strict=True):
            panel.set_title(label(family))
        for panel in axes[-1]:
            panel.set_xlabel("KL weight beta")
        legend(drawing, _key(sizes), 6)
        return drawing

    def _lines(self, canvas: Canvas, panel: Axes, points: Sequence[Point], sizes: Sequence[int]) -> None:
        for size in sizes:
            line = sorted((point for point in points if int(point["latent_dim"]) == size), key=lambda point: float(point["beta"]))
            if line:
                look = {**marks(canvas, line[0]["family"]), "linestyle": "-", "markersize": 2.5, "alpha": shade(size, sizes)}
                bars(panel, [float(point["beta"]) for point in line], line, **look)
        plain_log(panel.xaxis)


def shade(size: int, sizes: Sequence[int]) -> float:
    """The opacity of a number of latents among those that are drawn."""
    return 1.0 if len(sizes) == 1 else PALEST + (1 - PALEST) * sizes.index(size) / (len(sizes) - 1)


def _key(sizes: Sequence[int]) -> list[Line2D]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], color="black", alpha=shade(size, sizes), label=called(f"K = {size}")) for size in sizes]
