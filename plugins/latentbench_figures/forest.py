"""A forest plot: differences of a metric between rows of a leaderboard, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from latentbench.reporting import Canvas, Column, Comparison, Contrast, Options, Query, Statistics, UserError, compare
from latentbench.reporting.drawing import DOUBLE, GREY, SINGLE, label, legend, sheet
from latentbench_figures.common import PaperFigure, called, marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

ACROSS = 3
"""Panels side by side."""
BELOW = 0.25
"""How far below ours the published differences are, in rows."""


class ForestOptions(Options):
    """Options of `forest`."""

    metric: str | None = Field(None, description="Metric; by default that of the suite's leaderboard, else nelbo.")
    baseline: str = Field("", description="The row that others are compared with, as family=gaussian,estimator=mc; by default each panel's best.")
    rows: list[str] = Field(default=[], description="Settings that name the rows; by default those of the suite's leaderboard, or all that vary.")
    columns: list[str] | None = Field(None, description="Settings that name the panels; by default those of the suite's leaderboard, or dataset.")
    split: str = Field("validation", description="Split that the metric was measured on.")


class Forest(PaperFigure):
    """Differences of a metric between every row of a leaderboard and a baseline, or the best row of the panel (grey line), with their 99 % intervals,
    over the seeds that both have where runs are paired. Filled markers: significant at .01, p-values adjusted by Holm's method.

    The numbers are those of `latentbench compare`. Published differences, of published seeds, are pale, below ours.
    """

    name = "forest"
    options_model = ForestOptions
    options: ForestOptions

    def draw(self, canvas: Canvas) -> Drawing:
        """A panel for every column of the leaderboard."""
        query, baseline = self._query(canvas), self._baseline()
        ours = compare(canvas.stores, query, Statistics(baseline=baseline), asked=canvas.asked)
        self._say(canvas, ours)
        theirs = self._published(canvas, query, baseline)
        shown = [j for j in range(len(ours.columns)) if any(cell is not None and cell.contrast is not None for cell in _column(ours, j))]
        if not shown:
            raise UserError(f"no two rows of '{query.metric}' have two seeds each, so there is no difference to draw")
        across, deep = min(ACROSS, len(shown)), -(-len(shown) // ACROSS)
        drawing, axes = sheet(deep, across, SINGLE if across == 1 else DOUBLE, 12 + deep * (14 + 4.5 * len(ours.rows)), sharey=True)
        for panel in axes.flat[len(shown) :]:
            panel.set_axis_off()
        for place, (panel, j) in enumerate(zip(axes.flat, shown, strict=False)):
            self._panel(canvas, panel, ours, theirs, j)
            panel.set_title(label(", ".join(called(text) for text in ours.columns[j].key if text) or "all", 60))
            if place >= len(shown) - across:
                panel.set_xlabel(_axis(ours, ours.columns[j]))
        axes[0, 0].set(yticks=range(len(ours.rows)), yticklabels=_labels(ours.rows), ylim=(len(ours.rows) - 0.4, -0.6))
        legend(drawing, _key(theirs is not None and not {column.key for column in theirs.columns}.isdisjoint(ours.columns[j].key for j in shown)))
        return drawing

    def _panel(self, canvas: Canvas, panel: Axes, ours: Comparison, theirs: Comparison | None, j: int) -> None:
        panel.axvline(0, color=GREY, linewidth=0.6)
        drawn = [(ours, j, False)]
        if theirs is not None:
            drawn += [(theirs, k, True) for k, column in enumerate(theirs.columns) if column.key == ours.columns[j].key]
        for comparison, k, published in drawn:
            for row, cell in zip(comparison.rows, _column(comparison, k), strict=True):
                if row in ours.rows and cell is not None and cell.contrast is not None:
                    y = list(ours.rows).index(row) + BELOW * published
                    self._difference(canvas, panel, _family(comparison, row), y, cell.contrast, published)

    def _difference(self, canvas: Canvas, panel: Axes, family: str, y: float, contrast: Contrast, published: bool) -> None:
        significant = contrast.adjusted is not None and contrast.adjusted < Statistics().level
        look = marks(canvas, family, not significant, published) if family in canvas.styles else {"color": "black", "marker": "o"}
        panel.errorbar([contrast.mean], [y], xerr=None if contrast.interval is None else [contrast.interval], **{**look, "linestyle": "none"})

    def _query(self, canvas: Canvas) -> Query:
        o, board = self.options, canvas.asked.leaderboard if canvas.asked is not None else None
        own = board is not None and o.metric in (None, board.metric)
        return Query(
            metric=o.metric or (board.metric if board is not None else "nelbo"),
            rows=tuple(o.rows or (board.rows if board is not None else ())),
            columns=tuple(o.columns if o.columns is not None else board.columns if board is not None else ("dataset",)),
            split=o.split,
            index=board.index if board is not None and own else None,
            only=canvas.only,
            evaluations=frozenset(canvas.evaluations) or (frozenset({board.evaluation}) if board is not None and own and board.evaluation else None),
            values_of="runs",
        )

    def _baseline(self) -> Mapping[str, Any] | None:
        pairs = [pair.partition("=") for pair in self.options.baseline.split(",") if pair.strip()]
        if any(not (name and value) for name, _, value in pairs):
            raise UserError("expected key=value, or several with commas between", where=f"--option baseline={self.options.baseline}")
        return {name.strip(): value.strip() for name, _, value in pairs} or None

    def _published(self, canvas: Canvas, query: Query, baseline: Mapping[str, Any] | None) -> Comparison | None:
        stores: Sequence[Path] = canvas.published
        if not stores:
            return None
        only = {**canvas.only, "beta": [1], "latent_dim": [512]}  # of the authors' fits those of the tables
        try:
            return compare(
                stores,
                Query(query.metric, query.rows, query.columns, query.split, query.index, only, values_of="runs"),
                Statistics(baseline=baseline),
            )
        except UserError as error:  # published runs need not have what ours are selected by
            canvas.note(f"No published differences: {error}.")
            return None

    def _say(self, canvas: Canvas, comparison: Comparison) -> None:
        for note in comparison.notes:
            canvas.note(note if note.endswith(".") else f"{note}.")
        for row, cells in zip(comparison.rows, comparison.cells, strict=True):
            for column, cell in zip(comparison.columns, cells, strict=True):
                place = ", ".join(text for text in (*row, *column.key) if text)
                if cell is None:
                    canvas.lacks(f"{place}: no run")
                elif cell.failed or cell.missing or cell.nan or cell.infinite:
                    counts = {"failed": cell.failed, "missing": cell.missing, "not a number": cell.nan, "infinite": cell.infinite}
                    canvas.lacks(f"{place}: {', '.join(f'{n} {what}' for what, n in counts.items() if n)}")


def _column(comparison: Comparison, j: int) -> list[Any]:
    return [cells[j] for cells in comparison.cells]


def _labels(rows: Sequence[Sequence[str]]) -> list[str]:
    """What rows are called: the settings in which they differ; one that all rows have that have it says nothing."""
    telling = [i for i, values in enumerate(zip(*rows, strict=True)) if len(set(values) - {""}) > 1]
    short = [" ".join(row[i] for i in telling if row[i]) for row in rows]
    return [label(text) for text in (short if len(set(short)) == len(rows) else [" ".join(filter(None, row)) for row in rows])]


def _family(comparison: Comparison, row: Sequence[str]) -> str:
    return dict(zip(comparison.row_names, row, strict=True)).get("family", "")


def _axis(comparison: Comparison, column: Column) -> str:
    measure = comparison.measures.get(column.metric)
    unit = f" [{measure.unit}]" if measure is not None and measure.unit else ""
    better = f"\n({column.better} is better)" if column.better else ""
    return f"difference in {label(column.metric)}{label(unit)}{better}"


def _key(published: bool) -> list[Any]:
    from matplotlib.lines import Line2D

    black: Mapping[str, Any] = {"color": "black", "marker": "o", "linestyle": "none"}
    found = [Line2D([], [], label="p < .01", **black), Line2D([], [], label="not told apart", markerfacecolor="white", **black)]
    return [*found, Line2D([], [], label="published", alpha=0.45, **black)] if published else found
