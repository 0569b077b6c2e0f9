"""What the figures of this plugin share: the papers' families and settings, and marks for ours and the published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from latentbench.reporting import Canvas, Figure, Point, Usual
from latentbench.reporting.drawing import PALE, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

FAMILIES = ("poisson", "gaussian", "laplace", "categorical", "gaussian+relu", "gaussian+exp", "lca", "ista")
ACTIVATION = Usual({}, {"encoder_options.activation": "", "decoder_options.activation": ""})
"""The networks' own activation, which runs that have it do not name."""
USUAL = (
    ACTIVATION,
    Usual({"family": "poisson"}, {"training.temperature_stop": 0.05, "training.temperature_anneal": "linear"}),
    Usual({"family": "categorical", "estimator": "exact"}, {"estimator_options.covariance": "diagonal"}),
    Usual({"family": "categorical"}, {"training.temperature_stop": 0.1}),
)
"""The main settings of the Poisson VAE paper, where a folder has others too."""
PLACES = {
    "van_hateren": "van Hateren",
    "cifar16": "CIFAR 16x16",
    "mnist": "MNIST",
    "linear": "linear encoder",
    "conv": "conv encoder",
    "reconstruction": "reconstruction [nats]",
    "kl": "KL [nats]",
    "nelbo": "NELBO [nats] (lower is better)",
}
"""What settings and metrics are called in figures; others by their own names."""


class PaperFigure(Figure):
    """Base of figures of the Poisson VAE paper (Vafaii, Galor & Yates, NeurIPS 2024)."""

    families: ClassVar[Sequence[str]] = FAMILIES


def called(name: str) -> str:
    """A setting or metric as figures call it."""
    return label(PLACES.get(name, name))


def ordered(names: Iterable[str]) -> list[str]:
    """Families in the order of the figures: the papers', then the others by name."""
    found = set(names)
    return [*(name for name in FAMILIES if name in found), *sorted(found - set(FAMILIES))]


def marks(canvas: Canvas, family: str, open_: bool = False, published: bool = False) -> dict[str, Any]:
    """How matplotlib draws points of a family: empty with a convolutional encoder, pale and dashed where they are published."""
    style = canvas.styles[family]
    face = "white" if open_ else style.colour
    pale = {"alpha": PALE, "linestyle": "--"} if published else {}
    return {"color": style.colour, "marker": style.marker, "markerfacecolor": face, **pale}


def bars(axes: Axes, x: Sequence[float], points: Sequence[Point], **look: Any) -> None:
    """Means of points with their intervals, at x [n]."""
    errors = [point.interval for point in points]
    axes.errorbar(x, [point.mean for point in points], yerr=errors if any(errors) else None, elinewidth=0.7, capsize=1.5, **look)


def crosses(axes: Axes, x: Sequence[Point], y: Sequence[Point], **look: Any) -> None:
    """Points of two metrics, with both intervals."""
    errors: dict[str, Any] = {"xerr": [point.interval for point in x], "yerr": [point.interval for point in y]}
    errors = {name: widths for name, widths in errors.items() if any(widths)}
    axes.errorbar([point.mean for point in x], [point.mean for point in y], elinewidth=0.7, **errors, **look)


def joined(x: Iterable[Point], y: Iterable[Point]) -> tuple[list[Point], list[Point]]:
    """The points of two metrics that both have, in one order."""
    others = {point.values: point for point in y}
    pairs = [(point, others[point.values]) for point in x if point.values in others]
    return [one for one, _ in pairs], [other for _, other in pairs]


def key(canvas: Canvas, families: Iterable[str], encoders: bool = False, published: bool = False) -> list[Line2D]:
    """Artists for a legend: families, what empty markers mean, and what is published."""
    from matplotlib.lines import Line2D

    found = [Line2D([], [], label=label(name), **{**marks(canvas, name), "linestyle": "none"}) for name in ordered(families)]
    grey: Mapping[str, Any] = {"color": "black", "marker": "o", "linestyle": "none"}
    if encoders:
        found += [Line2D([], [], label="linear encoder", **grey), Line2D([], [], label="conv encoder", markerfacecolor="white", **grey)]
    if published:
        found.append(Line2D([], [], label="published", color="black", marker="o", linestyle="--", alpha=PALE))
    return found


def one_run(runs: Any, families: Sequence[str], seed: int | None) -> dict[str, dict[str, Any]]:
    """Family -> the row of its run with this seed, by default of its first seed, out of a frame of runs that differ in nothing else."""
    found = {}
    for family in families:
        mine = runs[runs["family"] == family].sort_values(["seed", "run_id"])
        mine = mine if seed is None else mine[mine["seed"] == seed]
        if len(mine):
            found[family] = {str(name): value for name, value in mine.iloc[0].items()}
    return found


def values_of(points: Iterable[Point], name: str, first: Iterable[str]) -> list[str]:
    """The values of a setting, in a known order and then by name."""
    found, known = {point[name] for point in points}, list(first)
    return [*(value for value in known if value in found), *sorted(found - set(known))]
