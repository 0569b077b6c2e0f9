"""Interactive charts: metrics against each other, and what training recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from latentbench.reporting.report.page import Chart, Control, Entry, Head, Table
from latentbench.reporting.report.stored import KEYS, Stored
from latentbench.reporting.report.text import count, number

if TYPE_CHECKING:
    import altair

PLANE = ("kl", "reconstruction")
"""The metrics that the plane shows at first, where they were measured: rate and distortion."""
COLOURS = ("#0072b2", "#d55e00", "#00896a", "#b0609a", "#8a7a00", "#6f6fd6", "#b8434e", "#6b7785")
"""Told apart by the colour-blind, and at least 3:1 against the page in light and dark."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
MAX_POINTS = 60
"""Steps of a curve; longer ones are thinned."""
MAX_NUMBERS = 150_000
"""Points of all curves; where there are more, every curve is thinned further."""
ALL = "all"
"""The choice of a control that leaves nothing out."""


def plane(stored: Stored) -> Chart | None:
    """Any metric against any other, a point a run; None where runs have fewer than two metrics in common."""
    wide = _scalars(stored)
    names = [name for name in wide.columns if name not in {*KEYS, "model", "seed", "family", "estimator", "dataset"}]
    x, y = (name if name in names else None for name in PLANE)
    if x is None or y is None:
        x, y = (*names, None, None)[:2]
    if x is None or y is None:
        return None
    columns = {name: [None if pd.isna(value) else value for value in wide[name]] for name in ("model", "family", "estimator", "dataset", "run_id")}
    columns["seed"] = [None if pd.isna(seed) else int(seed) for seed in wide["seed"]]
    axes = {f"{name}": [None if pd.isna(value) else float(f"{value:.5g}") for value in wide[name]] for name in names}
    spec = _point_spec(wide, x, y)
    controls = [Control("horizontal", names, axis="x", chosen=x), Control("vertical", names, axis="y", chosen=y), *_filters(wide)]
    n = int((wide[x].notna() & wide[y].notna()).sum())
    summary = f"{count(n, 'run')}, a point each: {_said(stored, x)} across, {_said(stored, y)} up. Colours are families, shapes estimators."
    return Chart(
        "Rate and distortion" if (x, y) == PLANE else "Metrics against each other",
        summary, spec, {"columns": columns | axes, "fields": list(columns)}, controls, _plane_table(wide, x, y),
    )  # fmt: skip


def curves(stored: Stored) -> Chart | None:
    """What training recorded, a curve a model: the mean over its seeds at every step; None where nothing was recorded."""
    if stored.history.empty:
        return None
    history = stored.joined(stored.history)
    means = history.groupby(["model", "family", "estimator", "dataset", "name", "step"], dropna=False, sort=False)["value"].agg(["mean", "size"])
    means = means.reset_index().fillna({"estimator": "none"})
    series = _series(means)
    quantities = sorted(set(means["name"]))
    chosen = PLANE[1] if PLANE[1] in quantities else quantities[0]
    seeds = int(history.groupby("model")["seed"].nunique().max())
    summary = (
        f"Curves of {count(means['model'].nunique(), 'model')}: what training recorded, over its steps, as means over up to {count(seeds, 'seed')}. "
        "Colours are families, dashes estimators."
    )
    controls = [Control("quantity", quantities, field="name", chosen=chosen), *_filters(means)]
    return Chart("Training curves", summary, _curve_spec(means), {"series": series}, controls, _curve_table(means, quantities))


def _scalars(stored: Stored) -> pd.DataFrame:
    """A row a run, a column for every metric that is one number and was measured in one way."""
    metrics = stored.metrics[stored.metrics["index"].isna()]
    metrics = metrics.assign(
        metric=metrics["metric"].where(metrics["split"] == "validation", metrics["metric"] + " on " + metrics["split"].astype(str))
    )
    metrics = metrics[~metrics.duplicated([*KEYS, "metric"], keep=False)]
    wide = metrics.pivot(index=KEYS, columns="metric", values="value").reset_index()
    joined = stored.joined(wide)
    return joined.assign(estimator=joined["estimator"].fillna("none"))


def _filters(frame: pd.DataFrame) -> list[Control]:
    """Controls that choose one data set, at first the first, and one family."""
    controls = []
    for field in ("dataset", "family"):
        values = sorted(map(str, frame[field].unique()))
        if len(values) > 1:
            controls.append(Control(field, [ALL, *values], field=field, chosen=values[0] if field == "dataset" else ALL))
    return controls


def _said(stored: Stored, metric: str) -> str:
    measure = stored.declared.get(metric)
    return metric if measure is None else f"{metric} ({measure.unit})"


def _colour(frame: pd.DataFrame) -> altair.Color:
    import altair as alt

    families = sorted(map(str, frame["family"].unique()))
    return alt.Color("family:N", scale=alt.Scale(domain=families, range=_cycled(COLOURS, len(families))), title="family")


def _cycled(values: Sequence[str], n: int) -> list[str]:
    return [values[i % len(values)] for i in range(n)]


def _point_spec(frame: pd.DataFrame, x: str, y: str) -> dict[str, Any]:
    import altair as alt

    estimators = sorted(map(str, frame["estimator"].unique()))
    shape = alt.Shape("estimator:N", scale=alt.Scale(domain=estimators, range=_cycled(SHAPES, len(estimators))), title="estimator")
    tooltip = [alt.Tooltip("model:N"), alt.Tooltip("x:Q", format=".5~g", title=x), alt.Tooltip("y:Q", format=".5~g", title=y)]
    chart = alt.Chart(alt.NamedData("points")).mark_point(filled=True, size=70, opacity=0.9, aria=False)
    return _finished(
        chart.encode(
            x=alt.X("x:Q", scale=alt.Scale(zero=False), title=x),
            y=alt.Y("y:Q", scale=alt.Scale(zero=False), title=y),
            color=_colour(frame), shape=shape, tooltip=[*tooltip, alt.Tooltip("seed:Q"), alt.Tooltip("run_id:N", title="run")],
        )
    )  # fmt: skip


def _curve_spec(means: pd.DataFrame) -> dict[str, Any]:
    import altair as alt

    estimators = sorted(map(str, means["estimator"].unique()))
    dashes = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [10, 4]]
    legend = alt.Legend(title="estimator", symbolType="stroke", symbolStrokeColor="currentColor", symbolStrokeWidth=2, symbolSize=300)
    dash = alt.StrokeDash(
        "estimator:N",
        scale=alt.Scale(domain=estimators, range=_cycled_dashes(dashes, len(estimators))),
        legend=legend,
    )
    tooltip = [alt.Tooltip("model:N"), alt.Tooltip("x:Q", title="step"), alt.Tooltip("y:Q", format=".5~g", title="mean"), alt.Tooltip("seeds:Q")]
    curves = alt.Chart(alt.NamedData("points")).encode(
        x=alt.X("x:Q", title="step"), y=alt.Y("y:Q", scale=alt.Scale(zero=False), title=""), color=_colour(means), detail="model:N", tooltip=tooltip
    )
    lines = curves.mark_line(strokeWidth=1.5, aria=False).encode(strokeDash=dash)
    return _finished(alt.layer(lines, curves.mark_point(size=16, filled=True, opacity=1, aria=False)))


def _cycled_dashes(dashes: Sequence[list[int]], n: int) -> list[list[int]]:
    return [dashes[i % len(dashes)] for i in range(n)]


def _finished(chart: altair.Chart | altair.LayerChart | altair.FacetChart) -> dict[str, Any]:
    """The specification with the page's look: text in the page's own colour, which follows its theme."""
    ink = "currentColor"
    lines = {"labelColor": ink, "titleColor": ink, "domainColor": ink, "tickColor": ink, "gridColor": ink, "gridOpacity": 0.15, "tickCount": 8}
    legend = {
        "labelColor": ink,
        "titleColor": ink,
        "symbolBaseStrokeColor": ink,
        "symbolBaseFillColor": ink,
        "orient": "bottom",
        "columns": 4,
        "labelLimit": 160,
    }
    look = {"background": None, "font": "system-ui, sans-serif", "axis": lines, "legend": legend, "view": {"stroke": None}}
    spec: dict[str, Any] = chart.properties(width="container", height=340).to_dict()
    spec.pop("data", None)  # the page's script gives it
    return {**spec, "config": look, "autosize": {"type": "fit", "contains": "padding"}}


def _series(means: pd.DataFrame) -> list[Mapping[str, Any]]:
    """A curve for every model and quantity, thinned to what a page can hold."""
    names = ["model", "family", "estimator", "dataset", "name"]
    rows = means.dropna(subset=["mean"]).sort_values([*names, "step"], kind="stable")
    if rows.empty:
        return []
    ends = np.flatnonzero((rows[names] != rows[names].shift(-1)).any(axis=1).to_numpy()) + 1
    points = max(2, min(MAX_POINTS, MAX_NUMBERS // len(ends)))
    about, steps, values = rows[[*names, "size"]].to_numpy(dtype=object), rows["step"].tolist(), rows["mean"].tolist()
    series: list[Mapping[str, Any]] = []
    start = 0
    for end in ends.tolist():
        kept = sorted({round(i) for i in np.linspace(start, end - 1, min(points, end - start)).tolist()})
        fields = {**dict(zip(names, about[start], strict=False)), "seeds": int(about[start][-1])}
        series.append({**fields, "x": [steps[i] for i in kept], "y": [float(f"{values[i]:.5g}") for i in kept]})
        start = end
    return series


def _plane_table(wide: pd.DataFrame, x: str, y: str) -> Table:
    found = wide.groupby("model", sort=False)[[x, y]].agg(["mean", "count"]).reset_index()
    rows = [
        [
            Entry(model),
            *(Entry(number(row[name, "mean"]), _finite(row[name, "mean"])) for name in (x, y)),
            Entry(f"{row[x, 'count']:.0f}", row[x, "count"]),
        ]
        for model, row in zip(found["model"], found.to_dict("records"), strict=True)
    ]
    return Table(f"{x} and {y} of every model, means over seeds", [Head("model"), Head(x, True), Head(y, True), Head("seeds", True)], rows)


def _curve_table(means: pd.DataFrame, quantities: Sequence[str]) -> Table:
    """The last recorded value of every quantity."""
    last = means.sort_values("step").groupby(["model", "name"], sort=False)["mean"].last().unstack("name")
    rows = [
        [Entry(str(model)), *(Entry(number(row.get(name)), _finite(row.get(name))) for name in quantities)]
        for model, row in last.to_dict("index").items()
    ]
    return Table("The last recorded value of every model, means over seeds", [Head("model"), *(Head(name, True) for name in quantities)], rows)


def _finite(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
