"""Figures 8 and 9: costs over latent dimensions and final temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from latentbench.reporting import Canvas, Options, Point, nothing
from latentbench.reporting.drawing import DOUBLE, GREY, SINGLE, SMALLEST, label, legend, plain_log, sheet
from latentbench_figures.common import ACTIVATION, USUAL, PaperFigure, bars, called, key, marks, values_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing


ESTIMATORS = ("mc", "hard_forward")
"""Of figure 9."""
ASIDE = 1.06
"""By what factor of the temperature hard-forward samples are drawn aside, so that intervals do not cover each other."""


class DimensionsOptions(Options):
    """Options of `fig8`."""

    family: str = Field("poisson", description="Family.")
    datasets: list[str] = Field(default=["van_hateren", "cifar16"], min_length=1, description="Data sets, a panel each.")
    beta: float = Field(1.0, gt=0, description="KL weight.")
    estimator: str = Field("mc", description="Gradient estimator.")


class LatentDimensions(PaperFigure):
    """NELBO over the number of latent dimensions, with linear and convolutional encoders, mean and 99 % interval over seeds. The grey triangle marks
    the main results, K = 512.

    Fig. 8 of the Poisson VAE paper. Published values are pale and dashed.
    """

    name = "fig8"
    options_model = DimensionsOptions
    options: DimensionsOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every data set."""
        o = self.options
        where = {"family": o.family, "dataset": o.datasets, "beta": o.beta, "estimator": o.estimator, "decoder": "linear"}
        by = ("dataset", "encoder", "latent_dim")
        ours, theirs = (canvas.points("nelbo", by, where, USUAL, published) for published in (False, True))
        if not ours:
            raise nothing(canvas, self.name, f"'nelbo' of '{o.family}' on {', '.join(o.datasets)}")
        canvas.unmatched(ours, theirs)
        datasets = [name for name in o.datasets if name in {point["dataset"] for point in ours}]
        drawing, axes = sheet(1, len(datasets), SINGLE if len(datasets) == 1 else DOUBLE, 65)
        for dataset, panel in zip(datasets, axes[0], strict=True):
            for points, published in ((ours, False), (theirs, True)):
                for encoder in ("linear", "conv"):
                    line = [point for point in points if (point["dataset"], point["encoder"]) == (dataset, encoder)]
                    if line:
                        look = {"linestyle": "-", **marks(canvas, o.family, encoder == "conv", published)}
                        bars(panel, [float(point["latent_dim"]) for point in line], line, **look)
            sizes = sorted({float(point["latent_dim"]) for point in ours})
            panel.set(title=called(dataset), xlabel="latent dimensions K", xticks=sizes)
            triangle(panel, 512)
        axes[0, 0].set_ylabel(called("nelbo"))
        legend(drawing, key(canvas, [o.family], True, bool(theirs)))
        return drawing


class TemperatureOptions(Options):
    """Options of `fig9`."""

    family: str = Field("poisson", description="Family.")
    dataset: str = Field("van_hateren", description="Data set.")
    latent_dim: int = Field(512, gt=0, description="Latent dimensions.")


class FinalTemperature(PaperFigure):
    """NELBO over the final temperature, mean and 99 % interval over seeds, of relaxed (mc) and hard-forward samples, by shape of annealing (insets:
    temperature over the share of training) and encoder. The grey triangle marks the main results, T = .05.

    Fig. 9 of the Poisson VAE paper, of which no numbers are published.
    """

    name = "fig9"
    options_model = TemperatureOptions
    options: TemperatureOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A row for every encoder, a column for every shape of annealing."""
        o = self.options
        where: dict[str, object] = {"family": o.family, "dataset": o.dataset, "latent_dim": o.latent_dim, "beta": 1, "decoder": "linear"}
        where["estimator"] = list(ESTIMATORS)
        by = ("encoder", "estimator", "training.temperature_anneal", "training.temperature_stop", "training.temperature_start")
        points = canvas.points("nelbo", by, where, (ACTIVATION,))
        if not points:
            raise nothing(canvas, self.name, f"'nelbo' of '{o.family}' on '{o.dataset}'")
        encoders = values_of(points, "encoder", ("linear", "conv"))
        shapes = values_of(points, "training.temperature_anneal", ("linear", "exponential"))
        estimators = values_of(points, "estimator", ESTIMATORS)
        for name in set(ESTIMATORS) - set(estimators):
            canvas.lacks(f"{name}: no run")
        drawing, axes = sheet(len(encoders), len(shapes), DOUBLE, 12 + 55 * len(encoders), sharey="row", sharex=True)
        for encoder, row in zip(encoders, axes, strict=True):
            mine = [point for point in points if point["encoder"] == encoder]
            row[0].set_ylabel(called("nelbo"))
            for shape, panel in zip(shapes, row, strict=True):
                panel.set_title(f"{called(encoder)}, {label(shape)} annealing")
                self._lines(canvas, panel, [point for point in mine if _annealed(point, shape)], estimators)
            low, high = row[0].get_ylim()
            row[0].set_ylim(low, high + 0.6 * (high - low))  # room for the insets
            for shape, panel in zip(shapes, row, strict=True):
                self._inset(canvas, panel, [point for point in mine if point["training.temperature_anneal"] == shape])
        for panel in axes[-1]:
            panel.set(xlabel="final temperature", xticks=sorted({_stop(point) for point in points}))
        legend(drawing, [container for container in axes[0, 0].containers if container.get_label() in estimators])
        return drawing

    def _lines(self, canvas: Canvas, panel: Axes, points: Sequence[Point], estimators: Sequence[str]) -> None:
        for name in estimators:
            line, relaxed = [point for point in points if point["estimator"] == name], name == "mc"
            x = [_stop(point) * (1 if relaxed else ASIDE) for point in line]
            look = marks(canvas, self.options.family, not relaxed)
            bars(panel, x, line, **{**look, "linestyle": "-" if relaxed else ":", "label": name})
        plain_log(panel.xaxis)
        triangle(panel, 0.05)

    def _inset(self, canvas: Canvas, panel: Axes, points: Sequence[Point]) -> None:
        """What the temperature was in training, of one run that ends at .05 or else as low as any."""
        run = next((point.runs[0] for point in sorted(points, key=lambda point: abs(_stop(point) - 0.05)) if point.runs), None)
        recorded = canvas.history(["temperature"])
        mine = recorded[recorded["run_id"] == run].sort_values("step")
        if len(mine):
            inset = panel.inset_axes((0.42, 0.7, 0.3, 0.2))
            inset.plot(mine["step"] / mine["step"].max(), mine["value"], color=GREY, linewidth=0.8)
            inset.set(xticks=[0, 1], yticks=[0, 1], xlim=(0, 1), ylim=(0, 1.05))
            inset.set_title("temperature over training", fontsize=SMALLEST, pad=2)


def _stop(point: Point) -> float:
    return float(point["training.temperature_stop"])


def _annealed(point: Point, shape: str) -> bool:
    """Whether a point belongs to a shape of annealing: a constant temperature has every one."""
    constant = point["training.temperature_start"] == point["training.temperature_stop"]
    return constant or point["training.temperature_anneal"] == shape


def triangle(axes: Axes, x: float) -> None:
    """A grey triangle on the horizontal axis."""
    axes.plot([x], [0.02], marker="^", color=GREY, alpha=0.7, markersize=5, transform=axes.get_xaxis_transform(), linestyle="none", clip_on=False)
