"""The figure of `relaxation_quality`: what the study of that name has stored, over temperature or effective width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from latentbench.reporting import Canvas, Figure, Options, UserError, column_of, nothing
from latentbench.reporting.drawing import DOUBLE, GREY, MARKERS, PALETTE, label, legend, plain_log, sheet

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

PANELS = {"mean_ratio": "mean / rate", "variance_ratio": "variance / rate", "wasserstein_1": "W1", "wasserstein_2": "W2"}
SETTINGS = {"relaxation": "family_options.relaxation", "truncate": "family_options.truncate", "temperature": "training.temperature_stop"}


class RelaxationQualityOptions(Options):
    """Options of the figure `relaxation_quality`."""

    rate: float | None = Field(None, description="The rate that is shown; by default the largest that is stored.")
    over: Literal["temperature", "effective_width"] = Field("temperature", description="The axis: equal temperatures are not equal smoothing.")


class RelaxationQualityFigure(Figure):
    """Mean and variance of relaxed Poisson counts over the rate, and their Wasserstein distances from true counts, over temperature or effective
    width: with all arrivals (solid) and cut off at n_exp (dashed). Dotted: true counts.

    Needs what `latentbench study relaxation_quality` stores.
    """

    name = "relaxation_quality"
    options_model = RelaxationQualityOptions
    options: RelaxationQualityOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every quantity, at one rate."""
        stored = canvas.summaries([*PANELS, *(f"{name}_floor" for name in PANELS), "effective_width"])
        rows = stored.assign(**{short: column_of(stored, name) for short, name in SETTINGS.items()}) if len(stored) else stored
        if rows.empty:
            raise nothing(canvas, self.name, "what `latentbench study relaxation_quality` stores")
        rate = self._rate(rows)
        drawing, axes = sheet(1, len(PANELS), DOUBLE, 55)
        names = list(dict.fromkeys(name for name in rows["relaxation"] if name))
        for panel, (metric, title) in zip(axes[0], PANELS.items(), strict=True):
            self._lines(panel, rows, metric, rate, names)
            panel.set(xlabel=label(self.options.over.replace("_", " ")), title=label(title))
            plain_log(panel.xaxis)
        legend(drawing, [line for line in axes[0, 0].lines if not str(line.get_label()).startswith("_")])
        canvas.note(f"Rate {rate:g}; bars: 99 % intervals over trials.")
        return drawing

    def _rate(self, rows: pd.DataFrame) -> float:
        rates = sorted(rows["index"].dropna().unique())
        if self.options.rate is not None and self.options.rate not in rates:
            raise UserError(
                f"the rate {self.options.rate:g} is not stored; stored: {', '.join(f'{rate:g}' for rate in rates)}", where="--option rate"
            )
        return float(rates[-1] if self.options.rate is None else self.options.rate)

    def _lines(self, panel: Axes, rows: pd.DataFrame, metric: str, rate: float, names: list[str]) -> None:
        """A line for every relaxation and cut, and one for true counts."""
        mine = rows[(rows["metric"] == metric) & (rows["index"] == rate)]
        for name, truncate in ((name, truncate) for name in names for truncate in ("False", "True")):
            line = mine[(mine["relaxation"] == name) & (mine["truncate"] == truncate)].copy()
            line["x"] = self._places(line, rows)
            line, number = line.sort_values("x"), names.index(name)
            cut = truncate == "True" and name != "gumbel_softmax"
            look: dict[str, Any] = {
                "color": PALETTE[number % len(PALETTE)],
                "marker": MARKERS[number % len(MARKERS)],
                "linestyle": "--" if cut else "-",
            }
            if len(line):
                panel.errorbar(line["x"], line["value"], yerr=line["interval"], elinewidth=0.7, markersize=2.5, label="_", **look)
                panel.plot([], [], label=f"_{name}" if cut else label(name), **look)
        for height in _of_true_counts(rows, metric, rate):
            panel.axhline(height, color=GREY, linestyle=":", label="_true")

    def _places(self, line: pd.DataFrame, rows: pd.DataFrame) -> list[float]:
        """Where the rows of a line are: their temperatures, or the widths that these have."""
        if self.options.over == "temperature":
            return [float(text) for text in line["temperature"]]
        widths = (
            rows[rows["metric"] == "effective_width"].drop_duplicates(["relaxation", "temperature"]).set_index(["relaxation", "temperature"])["value"]
        )
        return [float(widths[key]) for key in zip(line["relaxation"], line["temperature"], strict=True)]


def _of_true_counts(rows: pd.DataFrame, metric: str, rate: float) -> list[float]:
    """What true counts have: 1 of moments over the rate, and the floor of a distance, where it is among what is shown."""
    if metric.endswith("_ratio"):
        return [1.0]
    return [float(value) for value in rows[(rows["metric"] == f"{metric}_floor") & (rows["index"] == rate)]["value"]]
