"""The plane of rate and distortion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from latentbench.reporting import Canvas, Options, Point, UserError, column_of, nothing
from latentbench.reporting.drawing import DOUBLE, GREY, SINGLE, SMALLEST, legend, plain_log, sheet
from latentbench_figures.common import USUAL, PaperFigure, called, crosses, joined, key, marks
from latentbench_figures.sparsity import split

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import NDArray

WIDE = 20
"""Ratio of rates from which their axis is logarithmic."""
ROOM = 0.12
"""What a label of a grey line takes, as a share of an axis."""


class PlaneOptions(Options):
    """Options of `rate_distortion`."""

    estimator: str = Field("mc", description="Gradient estimator.")
    latent_dim: int | None = Field(None, description="Latent dimensions; null: the most frequent.")
    decoder: str = Field("linear", description="Decoder.")
    datasets: list[str] = Field(default=[], description="Data sets, a panel each; by default all.")


class RateDistortion(PaperFigure):
    """Rate, the KL of posterior from prior, against distortion, the cost of reconstruction without the constant of its likelihood; mean and 99 %
    interval over seeds. Several KL weights beta of a model are joined; models on a grey line have the same NELBO.

    Published values are pale.
    """

    name = "rate_distortion"
    options_model = PlaneOptions
    options: PlaneOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every data set."""
        ours = self._points(canvas, published=False)
        if not ours[0]:
            raise nothing(canvas, self.name, "'kl' and 'reconstruction'")
        theirs = self._points(canvas, published=True)
        datasets = sorted({point["dataset"] for point in ours[0]})
        for name in [name for name in self.options.datasets if name not in datasets]:
            canvas.lacks(f"{name}: no run")
        canvas.unmatched(ours[0], theirs[0])
        drawing, axes = sheet(1, len(datasets), SINGLE if len(datasets) == 1 else DOUBLE, 75)
        for dataset, panel in zip(datasets, axes[0], strict=True):
            panel.set(title=called(dataset), xlabel="rate: KL [nats]")
            for pair, published in ((ours, False), (theirs, True)):
                self._models(canvas, panel, pair, dataset, published)
            limits(panel, *([point.mean for pair in (ours, theirs) for point in pair[axis] if point["dataset"] == dataset] for axis in (0, 1)))
            equal_costs(panel, *([point.mean for point in ours[axis] if point["dataset"] == dataset] for axis in (0, 1)))
        axes[0, 0].set_ylabel("distortion: reconstruction [nats]")
        shown = {point["family"] for point in (*ours[0], *theirs[0]) if point["dataset"] in datasets}
        legend(drawing, key(canvas, shown, True, bool(theirs[0])), 5)
        return drawing

    def _models(self, canvas: Canvas, panel: Axes, pair: tuple[list[Point], list[Point]], dataset: str, published: bool) -> None:
        for (of, family, encoder), (rates, distortions) in split(pair, ("dataset", "family", "encoder")).items():
            if of == dataset:
                look = {"linestyle": "-", **marks(canvas, family, encoder == "conv", published)}
                crosses(panel, rates, distortions, **look)

    def _points(self, canvas: Canvas, published: bool) -> tuple[list[Point], list[Point]]:
        o = self.options
        where: dict[str, object] = {"estimator": o.estimator, "decoder": o.decoder}
        where |= {"dataset": o.datasets} if o.datasets else {}
        found = canvas.having(canvas.values("kl"), where)
        if found.empty:
            return [], []
        where["latent_dim"] = o.latent_dim or int(found["latent_dim"].mode().iloc[0])
        _check_constants(canvas, where)
        by = ("dataset", "family", "encoder", "beta")
        return joined(*(canvas.points(name, by, where, USUAL, published) for name in ("kl", "reconstruction")))


def _check_constants(canvas: Canvas, where: dict[str, object]) -> None:
    """Raise a UserError where distortions of one data set leave out different constants, and cannot be compared."""
    frame = canvas.having(canvas.values("reconstruction"), where).dropna(subset=["value", "cost_constant"])
    for dataset, group in frame.groupby("dataset"):
        if group["cost_constant"].round(9).nunique() > 1:
            names = ", ".join(sorted(set(column_of(group, "likelihood"))))
            raise UserError(
                f"distortions on '{dataset}' leave out different constants of their likelihoods ({names}) and cannot be compared; "
                "choose with --only likelihood=..."
            )


def limits(axes: Axes, rates: Sequence[float], distortions: Sequence[float]) -> None:
    """Axes that show all means, with a logarithmic rate where that spans much; an interval may be longer than the axes."""
    if min(rates) > 0 and max(rates) > WIDE * min(rates):
        plain_log(axes.xaxis)
        axes.set_xlim(min(rates) / 1.3, max(rates) * 1.3)
    else:
        margin = 0.08 * (max(rates) - min(rates)) or 1.0
        axes.set_xlim(min(rates) - margin, max(rates) + margin)
    margin = 0.08 * (max(distortions) - min(distortions)) or 1.0
    axes.set_ylim(min(distortions) - margin, max(distortions) + margin)


def equal_costs(axes: Axes, rates: Sequence[float], distortions: Sequence[float]) -> None:
    """Grey lines of equal rate + distortion around those of points, labelled where they leave the axes, as far as labels have room."""
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    places: list[NDArray[np.float64]] = []
    totals = [rate + distortion for rate, distortion in zip(rates, distortions, strict=True)]
    for total in MaxNLocator(6).tick_values(0.8 * min(totals), 1.1 * max(totals)):
        ends = max(left, total - top), min(right, total - bottom)
        if ends[0] < ends[1]:
            x = np.linspace(*ends, 200)
            axes.plot(x, total - x, color=GREY, linewidth=0.4, alpha=0.6, zorder=0)
            place = axes.transAxes.inverted().transform(axes.transData.transform((ends[1], total - ends[1])))
            if all(np.abs(place - other).max() > ROOM for other in places):
                places.append(place)
                axes.text(ends[1], total - ends[1], f"{total:g}", color=GREY, fontsize=SMALLEST, ha="right", va="bottom", zorder=0, clip_on=True)
    axes.set(xlim=(left, right), ylim=(bottom, top))
