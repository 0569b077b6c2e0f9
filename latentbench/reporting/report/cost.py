"""What runs took: seconds, memory, speed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from latentbench.reporting.report.page import Block, Details, Entry, Head, Table, Text
from latentbench.reporting.report.stored import Stored
from latentbench.reporting.report.text import count, number
from latentbench.reporting.text import size

COLUMNS = ("wall_seconds", "train_seconds", "device_seconds", "steps_per_second", "peak_memory_bytes", "device_peak_memory_bytes")
HEADS = (
    Head("seconds", True, "by the clock, all seeds"),
    Head("training", True, "seconds of training, mean"),
    Head("device", True, "seconds of CPU time, or of the GPU's, mean"),
    Head("steps/s", True, "mean"),
    Head("memory", True, "peak of the process, largest"),
    Head("device memory", True, "peak, largest"),
)
MAX_RUNS = 5_000
"""Runs that are listed one by one."""


def cost(stored: Stored) -> list[Block]:
    """Totals, a row a model, and folded a row a run."""
    runs = stored.runs
    if runs["wall_seconds"].isna().all():
        return [Text(["These runs have no cost stored."])]
    seconds, of_devices = runs["wall_seconds"].sum(), runs["device_seconds"].sum()
    total = Text([f"{duration(seconds)} by the clock for {count(len(runs), 'run')}, {duration(of_devices)} of the devices."])
    how = dict(zip(COLUMNS, ("sum", "mean", "mean", "mean", "max", "max"), strict=True))
    models = runs.groupby("model", sort=False).agg({**how, "run_id": "count"})
    rows = [[Entry(str(model)), Entry(f"{row['run_id']:.0f}", row["run_id"]), *_costs(row)] for model, row in models.to_dict("index").items()]
    table = Table("Cost of every model", [Head("model"), Head("runs", True), *HEADS], rows)
    return [total, table, Details(f"All {count(len(runs), 'run')}", [_runs(runs)])]


def _runs(runs: pd.DataFrame) -> Table:
    shown = runs.head(MAX_RUNS)
    rows = [
        [Entry(row["run_id"]), Entry(row["model"]), _plain(row["seed"]), Entry(_word(row["status"])), Entry(_word(row["host"])), *_costs(row)]
        for row in shown.to_dict("records")
    ]
    heads = [Head("run"), Head("model"), Head("seed", True), Head("status"), Head("host"), *HEADS]
    notes = [f"{count(len(runs) - MAX_RUNS, 'more run')} not listed."] if len(runs) > MAX_RUNS else []
    return Table("Every run and its cost", heads, rows, notes=notes)


def _costs(row: Mapping[Any, Any]) -> list[Entry]:
    texts = (number, number, number, number, _bytes, _bytes)
    return [Entry(text(row[name]), None if pd.isna(row[name]) else float(row[name])) for name, text in zip(COLUMNS, texts, strict=True)]


def duration(seconds: float) -> str:
    """A time as people say it."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{number(seconds / length, 3)} {unit}"
    return f"{number(float(seconds), 3) or 0} seconds"


def _bytes(value: float) -> str:
    return "" if pd.isna(value) else size(value)


def _word(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _plain(value: Any) -> Entry:
    return Entry("") if pd.isna(value) else Entry(f"{value:.0f}", float(value))
