"""Likelihood against the recovery of known causes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from latentbench.reporting import Canvas, Figure, Options, Point, nothing
from latentbench.reporting.drawing import DOUBLE, GREY, PALE, SINGLE, label, legend, sheet
from latentbench_figures.common import called, crosses, joined, key, marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

BY = ("dataset", "dataset_options.causes", "family")
TITLES = {"dictionary_correlation": "dictionary correlation", "recovered_fraction": "share recovered", "cause_correlation": "cause correlation"}
MARGIN = 0.03
"""Distance of sparse coders in the margin, in widths of a panel."""
CONTROLLED = ("dictionary_correlation", "recovered_fraction")
"""Metrics that the evaluation has a control for."""


class RecoveryOptions(Options):
    """Options of `recovery`."""

    metric: Literal["dictionary_correlation", "recovered_fraction", "cause_correlation"] = Field(
        "dictionary_correlation", description="What is drawn against the NELBO."
    )


class RecoveryFigure(Figure):
    """Correlation of true dictionary elements with their matches against the NELBO, mean and 99 % interval over seeds, a panel for every kind of
    causes. The grey band is what elements with shuffled pixels get. Sparse coders, which have no NELBO, are in the margin.
    """

    name = "recovery"
    options_model = RecoveryOptions
    options: RecoveryOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every data set and kind of causes."""
        metric = self.options.metric
        found, costs = canvas.points(metric, BY), canvas.points("nelbo", BY)
        if not found:
            raise nothing(canvas, self.name, f"'{metric}' of the evaluation 'recovery'")
        controls = canvas.points(f"{metric}_control", BY, quiet=True) if metric in CONTROLLED else []
        places = sorted({point.values[:2] for point in found})
        drawing, axes = sheet(1, len(places), SINGLE if len(places) == 1 else DOUBLE, 70, sharey=True)
        for place, panel in zip(places, axes[0], strict=True):
            panel.set(title=label(" ".join((called(place[0]), *(f"({kind})" for kind in place[1:] if kind)))), xlabel="NELBO [nats]")
            band(panel, _of(controls, place))
            self._models(canvas, panel, _of(costs, place), _of(found, place))
        axes[0, 0].set_ylabel(TITLES[metric])
        legend(drawing, key(canvas, {point["family"] for point in found}), 3 if len(places) == 1 else 5)
        return drawing

    def _models(self, canvas: Canvas, panel: Axes, costs: Sequence[Point], found: Sequence[Point]) -> None:
        for x, y in zip(*joined(costs, found), strict=True):
            crosses(panel, [x], [y], **{**marks(canvas, y["family"]), "linestyle": "none"})
        coders = [point for point in found if point.values not in {cost.values for cost in costs}]
        for place, point in enumerate(coders):
            look = {**marks(canvas, point["family"]), "linestyle": "none", "clip_on": False, "transform": panel.get_yaxis_transform()}
            panel.errorbar([MARGIN * (place + 1) + 1], [point.mean], yerr=[point.interval], elinewidth=0.7, **look)


def band(panel: Axes, controls: Sequence[Point]) -> None:
    """The range of the means of the control over families."""
    if controls:
        means = [point.mean for point in controls]
        panel.axhspan(min(means), max(means), color=GREY, alpha=PALE / 2, linewidth=0.5)


def _of(points: Sequence[Point], place: tuple[str, ...]) -> list[Point]:
    return [point for point in points if point.values[:2] == place]
