"""Figure 10: how units are told to be dead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from latentbench.reporting import Canvas, Options, grouped, nothing
from latentbench.reporting.drawing import DOUBLE, GREY, label, legend, sheet
from latentbench_figures.common import USUAL, PaperFigure, ordered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import NDArray

BINS = 80


class DeadOptions(Options):
    """Options of `fig10`."""

    dataset: str = Field("van_hateren", description="Data set.")
    encoder: str = Field("linear", description="Encoder.")
    estimator: str = Field("mc", description="Gradient estimator.")
    latent_dim: int = Field(512, gt=0, description="Latent dimensions.")
    seed: int | None = Field(None, description="Seed of the runs that are shown; null: the first that each family has.")
    thresholds: dict[str, float] = Field(
        default={"poisson": 0.0082, "gaussian": 0.09, "laplace": 0.08, "categorical": 4.435},
        description="Family -> KL in nats, or norm of a dictionary element, below which a unit is dead; the paper's.",
    )


class DeadUnits(PaperFigure):
    """Histograms of the mean KL of every unit, or where units have no KL of their own of the norms of dictionary elements, on a logarithmic scale of
    counts; units below the threshold (dashed) are dead and grey.

    Fig. 10 of the Poisson VAE paper, with its thresholds.
    """

    name = "fig10"
    options_model = DeadOptions
    options: DeadOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every family."""
        o, found = self.options, self._runs(canvas)
        shown = self._numbers(canvas, found)
        if not shown:
            raise nothing(canvas, self.name, f"numbers per unit (of 'elbo' or 'dictionary') of runs on '{o.dataset}' with {o.latent_dim} dimensions")
        for family in [name for name in ordered({*o.thresholds, *found}) if name not in shown]:
            canvas.lacks(f"{family}: no KL of every unit and no norms of a dictionary")
        columns = min(2, len(shown))
        rows = -(-len(shown) // columns)
        drawing, axes = sheet(rows, columns, DOUBLE, 10 + 45 * rows)
        for panel in axes.flat[len(shown) :]:
            panel.set_axis_off()
        for panel, (family, (what, numbers)) in zip(axes.flat, shown.items(), strict=False):
            self._histogram(canvas, panel, family, numbers)
            panel.set_xlabel(what)
        for row in axes:
            row[0].set_ylabel("units")
        from matplotlib.lines import Line2D

        legend(drawing, [Line2D([], [], color="black", linestyle="--", label="threshold"), Line2D([], [], color=GREY, linewidth=4, label="dead")])
        return drawing

    def _histogram(self, canvas: Canvas, axes: Axes, family: str, numbers: NDArray[np.float64]) -> None:
        edges = np.linspace(min(0.0, numbers.min()) if numbers.min() < 1 else numbers.min(), numbers.max(), BINS + 1)
        threshold = self.options.thresholds.get(family)
        if threshold is not None:
            edges = np.unique([*edges, np.clip(threshold, edges[0], edges[-1])])  # no bin has dead units and others
        dead = numbers < (-np.inf if threshold is None else threshold)
        for chosen, colour in ((~dead, canvas.styles[family].colour), (dead, GREY)):
            axes.stairs(np.histogram(numbers[chosen], edges)[0], edges, fill=True, color=colour)
        if threshold is not None:
            axes.axvline(threshold, color="black", linestyle="--", linewidth=0.8)
        axes.set_yscale("symlog", linthresh=1)
        top = int(np.histogram(numbers, edges)[0].max())
        ticks = [0, *(10**power for power in range(len(str(top)) + 1) if 10**power <= 2 * top)]
        axes.set(yticks=ticks, yticklabels=[str(tick) for tick in ticks], ylim=(0, 1.5 * max(top, 1)))
        axes.minorticks_off()
        axes.set_title(label(family) + (f", dead units: {int(dead.sum())} of {len(numbers)}" if threshold is not None else ", no threshold"))

    def _runs(self, canvas: Canvas) -> dict[str, str]:
        """Family -> the id of one run."""
        o = self.options
        where = {"dataset": o.dataset, "encoder": ["", o.encoder], "estimator": o.estimator, "latent_dim": o.latent_dim, "beta": 1}
        runs = canvas.having(canvas.runs[canvas.runs["status"] == "done"], where)
        runs = runs if o.seed is None else runs[runs["seed"] == o.seed]
        points, _ = grouped(runs.assign(value=0.0), ("family",), USUAL)
        return {point["family"]: point.runs[list(point.seeds).index(min(point.seeds))] for point in points if point.runs}

    def _numbers(self, canvas: Canvas, runs: Mapping[str, str]) -> dict[str, tuple[str, NDArray[np.float64]]]:
        """Family -> what is shown of its run, and the numbers: KL of every unit where there are several, else norms of dictionary elements."""
        kl = {run_id: numbers for run_id, numbers in canvas.units(list(runs.values()), "kl").items() if len(numbers) > 1}
        others = [run_id for run_id in runs.values() if run_id not in kl]
        norms = canvas.units(others, "dictionary_norm") if others else {}
        shown = {run_id: ("KL [nats]", numbers) for run_id, numbers in kl.items()}
        shown |= {run_id: ("norm of dictionary element", numbers) for run_id, numbers in norms.items()}
        found = {family: shown[runs[family]] for family in ordered(runs) if runs[family] in shown}
        for family, (_, numbers) in found.items():
            if not np.isfinite(numbers).all():
                canvas.lacks(f"{family}: {int((~np.isfinite(numbers)).sum())} of {len(numbers)} units have no finite number")
        return {family: (what, numbers[np.isfinite(numbers)]) for family, (what, numbers) in found.items() if np.isfinite(numbers).any()}
