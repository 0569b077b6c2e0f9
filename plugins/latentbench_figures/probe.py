"""Figure 11: accuracy of a linear classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from latentbench.reporting import Canvas, Options, nothing
from latentbench.reporting.drawing import GREY, PALE, SINGLE, legend, sheet
from latentbench_figures.common import USUAL, PaperFigure, bars, key, marks, ordered

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


class ProbeOptions(Options):
    """Options of `fig11`."""

    dataset: str = Field("mnist", description="Data set.")
    metric: str = Field("linear_probe_accuracy", description="The metric: accuracy of a readout.")
    estimator: str = Field("mc", description="Gradient estimator.")
    decoder: str = Field("conv", description="Decoder.")


class LinearProbe(PaperFigure):
    """Accuracy of a linear classifier on the representations of convolutional models, over latent dimensions, mean and 99 % interval over seeds.

    Fig. 11 of the Poisson VAE paper, of which no numbers are published.
    """

    name = "fig11"
    options_model = ProbeOptions
    options: ProbeOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """Families side by side at every K."""
        o = self.options
        points = canvas.points(o.metric, ("family", "latent_dim"), {"dataset": o.dataset, "estimator": o.estimator, "decoder": o.decoder}, USUAL)
        if not points:
            raise nothing(canvas, self.name, f"'{o.metric}' of runs on '{o.dataset}'")
        families = ordered({point["family"] for point in points})
        for name in self.families[:6]:
            if name not in families:
                canvas.lacks(f"{name}: no run")
        sizes = sorted({int(point["latent_dim"]) for point in points})
        drawing, axes = sheet(1, 1, SINGLE, 65)
        for place, family in enumerate(families):
            line = [point for point in points if point["family"] == family]
            x = [sizes.index(int(point["latent_dim"])) + 0.6 * ((place + 0.5) / len(families) - 0.5) for point in line]
            bars(axes[0, 0], x, line, **{**marks(canvas, family), "linestyle": "none"})
        for between in np.arange(len(sizes) - 1) + 0.5:
            axes[0, 0].axvline(between, color=GREY, linewidth=0.4, alpha=PALE)
        axes[0, 0].set(xticks=range(len(sizes)), xticklabels=[f"K = {size}" for size in sizes], ylabel="accuracy", xlabel="latent dimensions")
        legend(drawing, key(canvas, families), 3)
        return drawing
