"""Figure 3: what the Poisson sampler draws at several temperatures."""

from __future__ import annotations

import json
from math import exp, factorial
from typing import TYPE_CHECKING, Any

from latentbench.reporting import Canvas, nothing
from latentbench.reporting.drawing import DOUBLE, GREY, sheet
from latentbench_figures.common import PaperFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


class RelaxedCounts(PaperFigure):
    """Histograms of relaxed Poisson counts at several temperatures, in percent of the samples in a bin, beside the Poisson distribution (dots).

    Fig. 3 of the Poisson VAE paper, from the arrays of `relaxed_poisson`, which are the same for every run but for the draw: one run is shown.
    """

    name = "fig3"

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every temperature."""
        runs = canvas.arrays_of("relaxed_poisson").sort_values(["seed", "run_id"])
        if runs.empty:
            raise nothing(canvas, self.name, "arrays of the evaluation 'relaxed_poisson'")
        run: dict[str, Any] = {str(name): value for name, value in runs.iloc[0].items()}
        histograms, edges, temperatures = canvas.arrays(run, "histograms", "edges", "temperatures")
        rate = float(json.loads(run["options"])["rate"])
        shown = edges[1:][histograms.max(0) >= 0.01].max()
        counts = range(int(shown) + 1)
        drawing, axes = sheet(1, len(histograms), DOUBLE, 45)
        for panel, temperature, percent in zip(axes[0], temperatures, histograms, strict=True):
            panel.stairs(percent, edges, fill=True, color=canvas.styles["poisson"].colour)
            if temperature == 0:
                panel.plot(counts, [100 * exp(-rate) * rate**k / factorial(k) for k in counts], "o", color=GREY, markersize=2.5)
            panel.set(
                title=f"T = {temperature:g}", xlabel="count", xlim=(-0.3, shown + 0.3), xticks=list(counts)[:: 1 + len(counts) // 9], ylim=(0, None)
            )
        axes[0, 0].set_ylabel("percent")
        canvas.note(f"Rate {rate:g}; dots: the Poisson distribution, which true counts (T = 0) have.")
        return drawing
