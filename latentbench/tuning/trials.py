"""Trials of a model, and their values, which are read from the results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import fmean
from typing import Any

from latentbench.errors import UserError
from latentbench.results.lookup import rows_of_runs
from latentbench.results.store import Store
from latentbench.suites.tune import Tuning
from latentbench.tuning.models import Model


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and the mean of the metric over the model's runs with them; None where one of these failed."""

    settings: Mapping[str, Any]
    value: float | None


@dataclass
class Searched:
    """A model and its trials, in order, of which the first is the suite's own settings."""

    model: Model
    better: str
    trials: list[Trial] = field(default_factory=list)

    @property
    def untuned(self) -> float | None:
        """The value of the suite's own settings."""
        return self.trials[0].value

    @property
    def failed(self) -> int:
        """How many trials failed."""
        return sum(trial.value is None for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The trial with the best value, of equal ones the first; None where all failed."""
        valued = [trial for trial in self.trials if trial.value is not None]
        sign = 1 if self.better == "lower" else -1
        return min(valued, key=lambda trial: sign * (trial.value or 0.0), default=None)


def values(runs: Sequence[Sequence[str]], store: Store, tuning: Tuning, evaluation_id: str) -> list[float | None]:
    """The value of every model's trial, of which `runs` has the ids of the runs.

    Raises:
        UserError: the metric was measured at other indices than the one to tune for, or on several splits.
    """
    measured = _measured(store, {run_id for ids in runs for run_id in ids}, tuning, evaluation_id)
    return [_mean([measured.get(run_id) for run_id in ids]) for ids in runs]


def _mean(found: Sequence[float | None]) -> float | None:
    numbers = [value for value in found if value is not None and isfinite(value)]
    return fmean(numbers) if numbers and len(numbers) == len(found) else None


def _measured(store: Store, run_ids: set[str], tuning: Tuning, evaluation_id: str) -> dict[str, float]:
    """By run, what the store has of the metric."""
    columns = ["run_id", "evaluation_id", "metric", "index", "value"]
    rows = [
        row
        for row in rows_of_runs(store, "metrics", run_ids, columns).to_pylist()
        if row["evaluation_id"] == evaluation_id and row["metric"] == tuning.metric
    ]
    chosen = [row for row in rows if tuning.index is None or row["index"] == tuning.index]
    if rows and not chosen:
        there = ", ".join(f"{index:g}" for index in sorted({row["index"] for row in rows}))
        raise UserError(f"'{tuning.metric}' was measured at {there}, not at {tuning.index:g}", where=tuning.where("index"))
    found = {row["run_id"]: float(row["value"]) for row in chosen}
    if len(found) < len(chosen):
        raise UserError(f"'{tuning.metric}' has several values of one run, as on several splits: tuning needs one", where=tuning.where("metric"))
    return found
