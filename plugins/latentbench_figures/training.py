"""Training curves: what training recorded, mean and interval over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from latentbench.reporting import Canvas, Options, UserError, column_of, half_width, natural, nothing, telling
from latentbench.reporting.drawing import DOUBLE, MARKERS, PALETTE, SINGLE, Style, label, legend, sheet
from latentbench_figures.common import FAMILIES, PaperFigure, called

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

Groups = dict[tuple[str, tuple[str, ...]], list[str]]
LINES = ("-", "--", ":", "-.")
MARGIN = 0.4
"""Room beyond the means, as a share of their range."""
MAX_CURVES = 16
"""Curves of a panel that can be told apart."""


class TrainingOptions(Options):
    """Options of `training`."""

    values: list[str] = Field(default=["reconstruction", "kl"], min_length=1, description="What was recorded, a row each.")
    by: list[str] = Field(default=[], description="Settings that name the curves; by default all that vary, but the data set, which names columns.")


class TrainingCurves(PaperFigure):
    """What training recorded, over steps: mean over seeds, and its 99 % interval as a band; a row for every value, a column for every data set."""

    name = "training"
    options_model = TrainingOptions
    options: TrainingOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """Panels of curves."""
        recorded = canvas.history(self.options.values)
        runs = canvas.runs[canvas.runs["run_id"].isin(recorded["run_id"])].reset_index(drop=True)
        if runs.empty:
            raise nothing(canvas, self.name, f"training that recorded {' or '.join(self.options.values)}")
        groups = self._groups(runs)
        names = sorted({curve for _, curve in groups}, key=lambda curve: [natural(text) for text in curve])
        datasets = sorted({dataset for dataset, _ in groups})
        if len(names) > MAX_CURVES:
            raise UserError(f"{len(names)} curves cannot be told apart; choose with --only, as --only dataset={datasets[0]}, or with --suite FILE")
        values = [name for name in self.options.values if (recorded["name"] == name).any()]
        for name in set(self.options.values) - set(values):
            canvas.lacks(f"{name}: no training recorded it")
        drawing, axes = sheet(len(values), len(datasets), SINGLE if len(datasets) == 1 else DOUBLE, 10 + 45 * len(values), sharex="col")
        looks = _looks(canvas, names)
        of_run = dict(tuple(recorded.groupby("run_id")))
        groups = _done(canvas, groups)
        for (dataset, curve), members in groups.items():
            for row, value in enumerate(values):
                self._curve(axes[row, datasets.index(dataset)], [of_run[run_id] for run_id in members], value, looks[curve])
        for column, dataset in enumerate(datasets):
            axes[0, column].set_title(called(dataset))
            axes[-1, column].set_xlabel("step")
            axes[-1, column].locator_params(axis="x", nbins=4)
        for row, value in enumerate(values):
            axes[row, 0].set_ylabel(called(value))
        for panel in axes.flat:
            _limits(panel)
        legend(drawing, _handles(looks), 2 if len(datasets) == 1 else 4)
        return drawing

    def _groups(self, runs: pd.DataFrame) -> dict[tuple[str, tuple[str, ...]], list[str]]:
        """Data set and settings of every curve -> the ids of its runs."""
        by = self.options.by or telling(runs, ["dataset"])
        columns = {name: column_of(runs, name) for name in ("dataset", *by)}
        groups: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for i in range(len(runs)):
            groups.setdefault((columns["dataset"][i], tuple(columns[name][i] for name in by)), []).append(i)
        for (_, curve), members in groups.items():
            varying = telling(runs.iloc[members])
            if varying:
                raise UserError(
                    f"the curve {', '.join(curve) or 'of all runs'} would average over {', '.join(varying)}; "
                    f"add them to --option by=..., or choose with --only {varying[0]}=..."
                )
        return {key: [str(runs["run_id"][i]) for i in members] for key, members in groups.items()}

    def _curve(self, axes: Axes, histories: Sequence[pd.DataFrame], value: str, look: dict[str, str]) -> None:
        table = pd.concat([history[history["name"] == value].set_index("step")["value"] for history in histories], axis=1).sort_index()
        table = table.dropna()  # steps that all seeds have recorded
        if table.empty:
            return
        mean, steps = table.mean(axis=1).to_numpy(), table.index.to_numpy()
        axes.plot(steps, mean, markevery=max(1, len(steps) // 6), markersize=3, **look)  # type: ignore[arg-type]
        halves = np.array([half_width(row) or 0.0 for row in table.to_numpy()])
        if halves.any():
            axes.fill_between(steps, mean - halves, mean + halves, color=look["color"], alpha=0.15, linewidth=0)


def _looks(canvas: Canvas, names: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], dict[str, str]]:
    """How every curve is drawn: in the colour and with the marker of its family, in a line of its own among those of the family; without a family in
    the next colours."""
    found, seen = {}, Counter[str]()
    for i, curve in enumerate(names):
        family = next((text for text in curve if text in canvas.styles), "")
        style = canvas.styles[family] if family else Style(PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)])
        number, seen[family] = seen[family] if family else 0, seen[family] + 1
        face = "white" if number // len(LINES) % 2 else style.colour
        found[curve] = {"color": style.colour, "marker": style.marker, "linestyle": LINES[number % len(LINES)], "markerfacecolor": face}
    return found


def _handles(looks: dict[tuple[str, ...], dict[str, str]]) -> list[object]:
    from matplotlib.lines import Line2D

    first = sorted(looks, key=lambda curve: [FAMILIES.index(text) if text in FAMILIES else len(FAMILIES) for text in curve[:1]])
    return [Line2D([], [], label=label(", ".join(filter(None, curve)), 60), **looks[curve]) for curve in first if any(curve)]  # type: ignore[arg-type]


def _limits(axes: Axes) -> None:
    """A vertical axis that shows all means; intervals of few seeds may be much wider."""
    means = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines] or [np.zeros(0)])
    means = means[np.isfinite(means)]
    if len(means):
        margin = MARGIN * float(np.ptp(means)) or 1.0
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, means.min() - margin), min(high, means.max() + margin))


def _done(canvas: Canvas, groups: Groups) -> Groups:
    """The runs of every curve that are done, where there are some: one that failed early would end the mean there. It says which are left out."""
    status, kept = canvas.runs.set_index("run_id")["status"], {}
    for key, members in groups.items():
        done = [run_id for run_id in members if status[run_id] != "failed"]
        if len(done) < len(members):
            name = ", ".join(text for text in (key[0], *key[1]) if text)
            what = "are not drawn" if done else "are drawn up to the step that all have reached"
            canvas.lacks(f"{name}: {len(members) - len(done)} of {len(members)} seeds failed, and {what}")
        kept[key] = done or members
    return kept
