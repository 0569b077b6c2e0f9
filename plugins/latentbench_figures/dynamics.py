"""Inference step by step ("Brain-like variational inference", arXiv 2410.19315)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from pydantic import Field

from latentbench.reporting import Canvas, Figure, Options, Point, UserError, nothing
from latentbench.reporting.drawing import DOUBLE, legend, plain_log, sheet
from latentbench_figures.common import bars, called, key, marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

METRICS = {"r2_per_image_at": "variance explained (R2)", "zero_fraction_at": "share of zeros", "update_norm_at": "norm of the update [nats]"}
MODEL = ("family", "family_options.steps", "beta")
"""What tells the models of one data set apart."""


class DynamicsOptions(Options):
    """Options of `inference_dynamics`."""

    dataset: str = Field("van_hateren", description="Data set.")


class InferenceDynamics(Figure):
    """What decoded samples explain, their share of zeros and the size of updates over the steps of inference, mean and 99 % interval over seeds; a
    line for every family.

    From the evaluation `inference_dynamics`. Published curves are pale and dashed.
    """

    name = "inference_dynamics"
    options_model = DynamicsOptions
    options: DynamicsOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every metric."""
        ours, theirs = (self._curves(canvas, published) for published in (False, True))
        if not any(ours.values()):
            raise nothing(canvas, self.name, f"the evaluation 'inference_dynamics' of runs on '{self.options.dataset}'")
        families = _one_model_each(ours["r2_per_image_at"])
        drawing, axes = sheet(1, len(METRICS), DOUBLE, 65, sharex=True)
        for (metric, title), panel in zip(METRICS.items(), axes[0], strict=True):
            panel.set(xlabel="step of inference t", ylabel=title)
            for curves, published in ((theirs, True), (ours, False)):
                _lines(canvas, panel, [point for point in curves[metric] if point["family"] in families], published)
            plain_log(panel.xaxis)
        plain_log(axes[0, 2].yaxis)
        shown = any(point["family"] in families for points in theirs.values() for point in points)
        legend(drawing, key(canvas, families, published=shown), 5)
        return drawing

    def _curves(self, canvas: Canvas, published: bool) -> Mapping[str, list[Point]]:
        where = {"dataset": self.options.dataset}
        return {metric: canvas.points(metric, (*MODEL, "index"), where, published=published) for metric in METRICS}


def _one_model_each(points: Sequence[Point]) -> set[str]:
    """The families.

    Raises:
        UserError: one has several models, whose lines would look alike.
    """
    models = sorted({(point["family"], point["family_options.steps"], point["beta"]) for point in points})
    for family, group in groupby(models, key=lambda model: model[0]):
        of = list(group)
        if len(of) > 1:
            named = "; ".join(f"family_options.steps={steps or 'default'}, beta={beta}" for _, steps, beta in of)
            raise UserError(f"'{called(family)}' has {len(of)} models, whose lines would look alike; choose one with --only: {named}")
    return {family for family, *_ in models}


def _lines(canvas: Canvas, panel: Axes, points: Sequence[Point], published: bool) -> None:
    for model, line in groupby(points, key=lambda point: tuple(point[name] for name in MODEL)):
        curve = sorted(line, key=lambda point: float(point["index"]))
        look = {"linestyle": "-", "markersize": 2, **marks(canvas, model[0], published=published)}
        bars(panel, [float(point["index"]) for point in curve], curve, **look)
