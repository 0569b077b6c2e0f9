"""`gradients`: the bias, variance and direction of gradient estimators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from latentbench.reporting import Canvas, Figure, Options, Point, grouped, nothing
from latentbench.reporting.drawing import DOUBLE, GREY, label, legend, plain_log, sheet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

METRICS = {
    "gradient_bias": "squared bias / |gradient|²",
    "gradient_variance": "variance / |gradient|²",
    "gradient_cosine": "cosine of one draw",
}
OPTIONS = ("estimator_options", "family_options")
LINEAR = 1e-2
"""Below this size biases are on a linear scale, as they may be negative."""


class GradientsOptions(Options):
    """Options of `gradients`."""

    dataset: str = Field("digits", description="Data set.")
    group: str = Field("", pattern="^(|_decoder|_prior)$", description="Parameters: of the encoder, or `_decoder` or `_prior`.")


@dataclass(frozen=True)
class Row:
    """What was measured of one estimator in one family: its name, and points by metric and step."""

    title: str
    points: Mapping[str, Sequence[Point]]


class Gradients(Figure):
    """Gradient estimators at the first (open) and the last (filled) model of a run: squared bias and variance of one draw, over the squared
    gradient, and the cosine of one draw with the gradient; mean and 99 % interval over seeds. The bias is on a linear scale within a hundredth of 0.

    From the evaluation `gradient_quality`.
    """

    name = "gradients"
    options_model = GradientsOptions
    options: GradientsOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A row of panels for every family, a line for every estimator."""
        frames = {metric: self._frame(canvas, metric) for metric in METRICS}
        first = frames["gradient_bias"]
        if first.empty or "evaluation_id" not in first:
            raise nothing(canvas, self.name, f"the evaluation 'gradient_quality' of runs on '{self.options.dataset}'")
        options = canvas.options_of("gradient_quality")
        families = sorted(set(first["family"]))
        rows = {family: _rows(canvas, family, frames, options) for family in families}
        heights = [len(rows[family]) for family in families]
        about: dict[str, Any] = {"sharey": "row", "sharex": "col", "height_ratios": heights}
        drawing, axes = sheet(len(families), len(METRICS), DOUBLE, 25 + 4 * sum(heights), **about)
        for family, panels in zip(families, axes, strict=True):
            for (metric, _), panel in zip(METRICS.items(), panels, strict=True):
                _dots(canvas, panel, family, metric, rows[family])
            panels[0].set_yticks(range(len(rows[family])), [label(row.title) for row in rows[family]])
            panels[0].set_title(label(family), loc="left")
        axes[0, 0].invert_yaxis()
        for panel in axes[1:, 0]:
            panel.invert_yaxis()
        _scales(axes)
        _legend(drawing)
        return drawing

    def _frame(self, canvas: Canvas, metric: str) -> pd.DataFrame:
        return canvas.having(canvas.values(metric + self.options.group), {"dataset": self.options.dataset})


def _rows(canvas: Canvas, family: str, frames: Mapping[str, pd.DataFrame], options: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The estimators of a family, by name, temperature and options."""
    mine = {metric: frame[frame["family"] == family] for metric, frame in frames.items()}
    ids = [i for i in dict.fromkeys(mine["gradient_bias"]["evaluation_id"]) if i in options]
    told = {i: _title(options[i], [options[other] for other in ids]) for i in ids}
    found = []
    for i in sorted(ids, key=lambda i: told[i]):
        points = {metric: grouped(frame[frame["evaluation_id"] == i], ("index",))[0] for metric, frame in mine.items()}
        for point in points["gradient_bias"]:
            if point.expected < mine["gradient_bias"]["seed"].nunique():
                canvas.lacks(f"{family}, {told[i]}: {point.expected} of {mine['gradient_bias']['seed'].nunique()} seeds")
        found.append(Row(told[i], points))
    return found


def _title(own: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> str:
    """An estimator's name, with the options and the temperature that tell it from the others of its name."""
    alike = [other for other in others if other["estimator"] == own["estimator"]]
    said = [f"{key}={value}" for name in OPTIONS for key, value in own.get(name, {}).items()]
    if len({other["temperature"] for other in alike}) > 1:
        said.append(f"T={own['temperature']:g}")
    return " ".join([str(own["estimator"]), *said])


def _dots(canvas: Canvas, panel: Axes, family: str, metric: str, rows: Sequence[Row]) -> None:
    """The first and the last step of every estimator."""
    for place, row in enumerate(rows):
        points = row.points[metric]
        for point, face, shift in zip((points[0], points[-1]), ("white", canvas.styles[family].colour), (-0.15, 0.15), strict=True) if points else ():
            look: dict[str, Any] = {"color": canvas.styles[family].colour, "marker": "o", "markersize": 3, "markerfacecolor": face}
            panel.errorbar([point.mean], [place + shift], xerr=[point.interval], elinewidth=0.7, capsize=1.2, linestyle="none", **look)


def _scales(axes: Any) -> None:
    """Symmetric logarithmic, logarithmic and linear, with what the columns are."""
    for panel in axes[:, 0]:
        panel.set_xscale("symlog", linthresh=LINEAR)
        panel.axvline(0, color=GREY, linewidth=0.5)
        low, high = panel.get_xlim()
        ticks = [tick for tick in (-100, -1, 0, 1, 100) if low <= tick <= high]
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    for panel in axes[:, 1]:
        plain_log(panel.xaxis)
    for panel, text in zip(axes[-1], METRICS.values(), strict=True):
        panel.set_xlabel(text)


def _legend(drawing: Drawing) -> None:
    from matplotlib.lines import Line2D

    look: dict[str, Any] = {"color": "black", "marker": "o", "linestyle": "none", "markersize": 3}
    legend(drawing, [Line2D([], [], label="before training", markerfacecolor="white", **look), Line2D([], [], label="trained", **look)])
