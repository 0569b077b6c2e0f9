"""A model's units as cells of primary visual cortex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from latentbench.reporting import Canvas, Figure, Options, nothing
from latentbench.reporting.drawing import DOUBLE, GREY, label, sheet
from latentbench_figures.tiles import show, tiled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import NDArray

BINS = 20
SHOWN = 36
"""Receptive fields that are shown, of the units that respond most."""
HISTOGRAMS = {
    "preferred_orientation": ("preferred orientation [degrees]", (0.0, 180.0)),
    "preferred_frequency": ("preferred frequency [cycles/pixel]", None),
    "orientation_half_width": ("orientation half width [degrees]", (0.0, 90.0)),
    "frequency_width": ("frequency width [octaves]", None),
    "modulation_ratio": ("F1/F0", (0.0, 2.0)),
    "circular_variance": ("circular variance", (0.0, 1.0)),
}
"""Numbers of units: how their axis is called, and its range where it has one."""


class CardOptions(Options):
    """Options of `v1_card`."""

    family: str = Field("poisson", description="Family; --only chooses among its runs.")
    dataset: str | None = Field(None, description="Data set; null: that of the first run.")
    seed: int | None = Field(None, description="Seed; null: the first.")


class V1Card(Figure):
    """Units of one model as cells of primary visual cortex: distributions of preferred orientation and spatial frequency, of the widths of tuning at
    1/sqrt 2 of the height, of F1/F0 and of circular variance, of responsive units; shapes of receptive fields (Ringach's n_x and n_y) that Gabor
    functions fit well; and the receptive fields, by reverse correlation, of the units that respond most.
    """

    name = "v1_card"
    options_model = CardOptions
    options: CardOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """Six histograms, a scatter and a picture."""
        run = self._run(canvas)
        units = {name: canvas.units([run["run_id"]], name)[run["run_id"]] for name in (*HISTOGRAMS, "response", "field_n_x", "field_n_y")}
        drawing, axes = sheet(2, 4, DOUBLE, 90)
        drawing.suptitle(label(f"{run['family']}, {run['dataset']}, K = {run['latent_dim']}, seed {run['seed']}", 80))
        for panel, (name, (title, limits)) in zip(axes[:, :3].flat, HISTOGRAMS.items(), strict=True):
            histogram(panel, units[name], title, limits, canvas.styles[run["family"]].colour)
        shapes(axes[0, 3], units["field_n_x"], units["field_n_y"], canvas.styles[run["family"]].colour)
        (fields,) = canvas.arrays(run, "receptive_fields")
        most = np.argsort(-units["response"])[:SHOWN]
        show(axes[1, 3], tiled(fields[most]), "receptive fields")
        return drawing

    def _run(self, canvas: Canvas) -> Mapping[str, Any]:
        """The row of the run that is drawn."""
        o = self.options
        where = {"family": o.family} | ({} if o.dataset is None else {"dataset": o.dataset}) | ({} if o.seed is None else {"seed": o.seed})
        found = canvas.arrays_of("tuning", where).sort_values(["seed", "run_id"])
        if found.empty:
            raise nothing(canvas, self.name, f"the evaluation 'tuning' of '{o.family}'")
        absent = len(canvas.having(canvas.runs, where)) - len(found)
        if absent:
            canvas.lacks(f"{o.family}: {absent} of {absent + len(found)} runs were not measured by 'tuning'")
        alike = found[found["seed"] == found["seed"].iloc[0]]
        if len(alike) > 1:
            canvas.note(f"The first of {len(alike)} models of {o.family} with seed {alike['seed'].iloc[0]}; --only chooses another.")
        return {str(name): value for name, value in alike.iloc[0].items()}


def histogram(panel: Axes, values: NDArray[np.float64], title: str, limits: tuple[float, float] | None, colour: str) -> None:
    """How many units have a number, of those that have it; beyond the limits they are counted at the ends. The median is marked."""
    told = values[np.isfinite(values)]
    panel.set(xlabel=title, ylabel="units")
    if len(told):
        panel.hist(told if limits is None else np.clip(told, *limits), BINS, range=limits, color=colour)
        panel.axvline(float(np.median(told)), color=GREY, linewidth=0.8)


def shapes(panel: Axes, n_x: NDArray[np.float64], n_y: NDArray[np.float64], colour: str) -> None:
    """Sizes of receptive fields in cycles, with the line where they are round."""
    told = np.isfinite(n_x) & np.isfinite(n_y)
    panel.plot(n_x[told], n_y[told], "o", color=colour, markersize=1.5, markeredgewidth=0)
    end = max([1.0, *n_x[told], *n_y[told]])
    panel.plot([0, end], [0, end], color=GREY, linewidth=0.6)
    panel.set(xlabel="n_x [cycles]", ylabel="n_y [cycles]")
