"""Figure 5: reconstruction against sparsity, of models and of sparse inference on their dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from latentbench.reporting import Canvas, Options, Point, nothing, telling
from latentbench.reporting.drawing import DOUBLE, GREY, PALE, SINGLE, label, legend, sheet
from latentbench_figures.common import USUAL, PaperFigure, called, crosses, joined, key, marks
from latentbench_figures.fits import fit_sigmoid, unexplained_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

ERROR, SPARSITY = "sse_at_location", "lifetime_sparsity"
Pair = tuple[list[Point], list[Point]]
CODERS = ("lca", "ista")


class SparsityOptions(Options):
    """Options of `fig5a`."""

    dataset: str = Field("van_hateren", description="Data set.")
    latent_dim: int = Field(512, gt=0, description="Latent dimensions.")
    estimator: str = Field("mc", description="Gradient estimator.")


class ErrorAndSparsity(PaperFigure):
    """Squared error of the decoded location against lifetime sparsity, with 99 % intervals over seeds; families that were trained at several KL
    weights beta as curves, sigmoid fits. A grey arrow leads from the linear to the convolutional encoder at beta = 1.

    Fig. 5a of the Poisson VAE paper. Published values are pale; the published sparsity is known of Poisson with a linear encoder alone.
    """

    name = "fig5a"
    options_model = SparsityOptions
    options: SparsityOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """One panel."""
        ours, theirs = self._pair(canvas, False), self._pair(canvas, True)
        if not ours[0]:
            raise nothing(canvas, self.name, f"'{ERROR}' and '{SPARSITY}' of runs on '{self.options.dataset}'")
        canvas.unmatched(*ours[:1], theirs[0])
        drawing, axes = sheet(1, 1, SINGLE, 80)
        for pair, published in ((ours, False), (theirs, True)):
            for (family, encoder), (errors, sparsities) in split(pair, ("family", "encoder")).items():
                look = marks(canvas, family, encoder == "conv", published)
                crosses(axes[0, 0], sparsities, errors, **{**look, "linestyle": "none"})
                curve(canvas, axes[0, 0], errors, sparsities, look, f"{family}, {called(encoder)}")
        arrows(axes[0, 0], ours)
        axes[0, 0].set(xlabel="lifetime sparsity", ylabel="squared error")
        families = {point["family"] for point in (*ours[0], *theirs[0])}
        encoders = "conv" in {point["encoder"] for point in ours[0]}
        legend(drawing, key(canvas, families, encoders, bool(theirs[0])), 3)
        return drawing

    def _pair(self, canvas: Canvas, published: bool) -> Pair:
        o = self.options
        where = {"dataset": o.dataset, "latent_dim": o.latent_dim, "estimator": o.estimator, "decoder": "linear"}
        errors, sparsities = (canvas.points(name, ("family", "encoder", "beta"), where, USUAL, published) for name in (ERROR, SPARSITY))
        return joined(errors, sparsities)


class SwapOptions(Options):
    """Options of `fig5b`."""

    dataset: str = Field("van_hateren", description="Data set.")
    latent_dim: int = Field(512, gt=0, description="Latent dimensions.")
    families: list[str] = Field(default=["poisson"], min_length=1, description="Families on whose dictionaries codes were inferred.")
    solver: Literal["lca", "lasso"] = Field("lca", description="What inferred them.")
    sparsity: float = Field(0.9, ge=0, le=1, description="Of sparse coders the one of least squared error is large whose lifetime sparsity is this.")


class InferenceSwap(PaperFigure):
    """Squared error against lifetime sparsity of codes that LCA infers on the dictionaries of trained models, over lambda, with sigmoid fits;
    beside the models' own codes (large), and sparse coders (small: every setting; large: the one of least squared error whose lifetime sparsity is at
    least the option `sparsity`).

    Fig. 5b of the Poisson VAE paper. Published values are pale; the encoder of the published dictionaries is not known.
    """

    name = "fig5b"
    options_model = SwapOptions
    options: SwapOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every family."""
        o = self.options
        ours, theirs, own = self._pair(canvas, o.solver, False), self._pair(canvas, o.solver, True), self._pair(canvas, "encoder", False)
        if not ours[0]:
            raise nothing(canvas, self.name, f"the evaluation 'inference_swap' of {', '.join(o.families)} on '{o.dataset}'")
        families = [name for name in o.families if name in {point["family"] for point in ours[0]}]
        for name in set(o.families) - set(families):
            canvas.lacks(f"{name}: no inference on its dictionary")
        drawing, axes = sheet(1, len(families), SINGLE if len(families) == 1 else DOUBLE, 80, sharex=True, sharey=True)
        coders = self._sweep(canvas, False), self._sweep(canvas, True)
        for panel, family in zip(axes[0], families, strict=True):
            panel.set(title=label(family), xlabel="lifetime sparsity")
            for pair, published in zip(coders, (False, True), strict=True):
                self._coders(canvas, panel, pair, published)
            self._swapped(canvas, panel, family, (ours, theirs, own))
        axes[0, 0].set_ylabel("squared error")
        shown = {*families, *(point["family"] for pair in coders for point in pair[0])}
        legend(drawing, key(canvas, shown, True, bool(theirs[0])), 3)
        return drawing

    def _swapped(self, canvas: Canvas, axes: Axes, family: str, pairs: Sequence[Pair]) -> None:
        for pair, published in zip(pairs[:2], (False, True), strict=True):
            for (of, encoder), (errors, sparsities) in split(pair, ("family", "encoder")).items():
                if of == family:
                    look = marks(canvas, family, encoder == "conv", published)
                    crosses(axes, sparsities, errors, **{**look, "linestyle": "none", "markersize": 2.5})
                    curve(canvas, axes, errors, sparsities, look, f"{family}, {called(encoder) if encoder else 'published'}")
        for (of, encoder), (errors, sparsities) in split(pairs[2], ("family", "encoder")).items():
            if of == family:
                crosses(axes, sparsities, errors, **{**marks(canvas, family, encoder == "conv"), "linestyle": "none", "markersize": 6})

    def _sweep(self, canvas: Canvas, published: bool) -> Pair:
        """All settings of sparse coders."""
        where, frame = self._where(CODERS), canvas.having(canvas.runs, self._where(CODERS))
        failed = int((frame["status"] == "failed").sum())
        if failed and not published:
            canvas.lacks(f"{', '.join(CODERS)}: {failed} of {len(frame)} runs failed")
        by = ("family", "family_options", "training") if published else ("family", *telling(frame, ["family"]))
        return joined(*(canvas.points(name, by, where, published=published, quiet=True) for name in ("sse_at_mean", SPARSITY)))

    def _coders(self, canvas: Canvas, axes: Axes, coders: Pair, published: bool) -> None:
        for (family,), (errors, sparsities) in split(coders, ("family",)).items():
            look = {**marks(canvas, family, published=published), "linestyle": "none"}
            places = [(sparsity.mean, error.mean) for sparsity, error in zip(sparsities, errors, strict=True)]
            axes.plot(*zip(*places, strict=True), **{**look, "markersize": 1.5, "alpha": PALE / (2 if published else 1), "markeredgewidth": 0})
            sparse = [place for place in places if place[0] >= self.options.sparsity]
            if sparse:
                axes.plot(*min(sparse, key=lambda place: place[1]), **{**look, "markersize": 6})
            elif not published:
                canvas.lacks(f"{family}: of {len(places)} settings none has a lifetime sparsity of {self.options.sparsity:g}; see --option sparsity=")

    def _pair(self, canvas: Canvas, solver: str, published: bool) -> Pair:
        by = ("family", "encoder") if solver == "encoder" else ("family", "encoder", "index")
        where = self._where(self.options.families)
        errors, sparsities = (canvas.points(f"{solver}_{name}", by, where, USUAL, published) for name in ("sse", "lifetime_sparsity"))
        return joined(errors, sparsities)

    def _where(self, families: Sequence[str]) -> Mapping[str, Any]:
        return {"dataset": self.options.dataset, "latent_dim": self.options.latent_dim, "family": list(families)}


def split(pair: Pair, by: Sequence[str]) -> dict[tuple[str, ...], Pair]:
    """The points of two metrics by settings."""
    found: dict[tuple[str, ...], Pair] = {}
    for one, other in zip(*pair, strict=True):
        mine = found.setdefault(tuple(one[name] for name in by), ([], []))
        mine[0].append(one)
        mine[1].append(other)
    return found


def curve(canvas: Canvas, axes: Axes, errors: Sequence[Point], sparsities: Sequence[Point], look: Mapping[str, Any], name: str) -> None:
    """The sigmoid fit, where there are points enough: of sparsity over error or of error over sparsity, whichever explains more of the variance."""
    x, y = [point.mean for point in sparsities], [point.mean for point in errors]
    fits = {False: fit_sigmoid(x, y), True: fit_sigmoid(y, x)}
    unexplained = {turned: unexplained_share(fit, *((y, x) if turned else (x, y))) for turned, fit in fits.items() if fit is not None}
    if unexplained:
        turned = min(unexplained, key=unexplained.__getitem__)
        along, fit = np.linspace(min(y if turned else x), max(y if turned else x), 200), fits[turned]
        assert fit is not None
        places = (fit(along), along) if turned else (along, fit(along))
        axes.plot(*places, color=look["color"], linestyle=look.get("linestyle", "-"), alpha=look.get("alpha"))
    elif len(x) > 1:
        canvas.note(f"{name}: {len(x)} points, no sigmoid fit.")


def arrows(axes: Axes, pair: Pair) -> None:
    """From the linear to the convolutional encoder at beta = 1, for families that have a curve."""
    at = {tuple(one[name] for name in ("family", "encoder", "beta")): (other.mean, one.mean) for one, other in zip(*pair, strict=True)}
    for family in {name for name, _, beta in at if beta != "1"}:
        start, end = (at.get((family, encoder, "1")) for encoder in ("linear", "conv"))
        if start is not None and end is not None:
            axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": GREY, "shrinkA": 3, "shrinkB": 3})
