"""The rows of made-up runs, in the form in which execution stores them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from latentbench_evaluations import active_units, gabor_fit

from latentbench.failure import NO_FAILURE, Failure
from latentbench.files import write_atomically
from latentbench.measure import Measure
from latentbench.registry import Registry
from latentbench.results.provenance import environment, evaluation_sources, training_sources
from latentbench.results.tables import table_schema, to_bytes
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.plan import Plan, Planned
from latentbench.suites.settings import Run
from tests.made.numbers import Numbers, threshold

IMAGES = {"mnist": (60_000, 10_000), "cifar16": (200_000, 40_000), "van_hateren": (107_520, 28_224)}
"""Images of the training and the validation split; 1,500 and 500 of others."""
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = {"host": "nowhere", "device_name": "made-up processor"}
ORIGIN = {
    **PLACE,
    "threads": 1,
    "hardware": json.dumps({"system": "none", "processor": "made-up processor", "cores": 8}),
    "numerics": json.dumps({"matmul_precision": "highest"}),
    "git_sha": "0" * 40,
    "git_dirty": False,
}
SPLITS = {"relaxed_mean": "prior", "prior_energy": "prior", "shattering_gradient": "train", "linear_probe_iterations": "train"}
"""The splits of metrics that are not of the evaluation's own."""
OF_UNITS = ("active_units", "dictionary", "gabor_fit")
"""Evaluations whose metrics are over latents."""
POINTS = {"active_fraction_at": active_units.CURVE, "gabor_fraction_at": gabor_fit.CURVE}
"""Where curves are measured, but for those that an option of the evaluation says."""
OTHERS = (1.0, 10.0, 100.0)
"""Where the other curves are measured."""
ENTRIES = 25
"""Entries of a run's history; truly there is one every 50 steps."""


def write_tables(folder: Path, plan: Plan, failures: Mapping[str, Failure], rows: Rows) -> None:
    """Write a compact file of each table."""
    tables: dict[str, list[Any]] = {name: [] for name in ("units", "history", "evaluations", "metrics", "runs")}
    for number, item in enumerate(plan.runs):
        failure = failures.get(item.run.id)
        tables["runs"].append(rows.run(item, number, failure))
        if failure is None or failure.kind == "evaluation":
            tables["history"].append(rows.history(item))
            for evaluation in item.evaluations[: -1 if failure else None]:
                for name, found in rows.evaluation(item, evaluation).items():
                    tables[name] += found
    for name, found in tables.items():
        write_atomically(folder / name / "compact-000001.parquet", to_bytes(name, _table(name, found)))


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows, or in the long tables columns of rows, as a table."""
    schema = table_schema(name)
    if name not in ("units", "history"):
        return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    columns = {key: np.concatenate([np.broadcast_to(part[key], part["value"].shape) for part in rows]) for key in (rows[0] if rows else ())}
    return pa.table({field.name: pa.array(columns.get(field.name, []), field.type) for field in schema}, schema=schema)


class Rows:
    """Rows of runs with drawn numbers."""

    def __init__(self, numbers: Numbers, registry: Registry, other_code: bool) -> None:
        self.numbers, self.registry, self.versions = numbers, registry, json.dumps(environment())

        def code(sources: Mapping[str, str]) -> str:
            return json.dumps(dict.fromkeys(sources, "f" * 64) if other_code else sources)

        self.training = cache(lambda assembly: code(training_sources(assembly)))
        self.measuring = cache(lambda parts: code(evaluation_sources(parts)))

    def run(self, item: Planned, number: int, failure: Failure | None) -> dict[str, Any]:
        """The row in `runs`."""
        run, started = item.run, BEGAN + timedelta(minutes=number)
        seconds = 600.0 * float(np.exp(0.3 * self.numbers.rng(run, "seconds").normal()))
        row = {**run.to_row(), **ORIGIN, "versions": self.versions, "started": started}
        if failure is not None and failure.kind != "evaluation":
            return {**row, **failure.to_row(), "status": "failed", "wall_seconds": seconds / 10}
        pixels, steps = int(np.prod(item.assembly.data_shape)), steps_of(run)
        return {
            **row,
            **(NO_FAILURE if failure is None else failure.to_row()),
            **{"status": "done", "cost": item.assembly.family.cost, "cost_constant": float(pixels / 2 * np.log(np.pi))},
            **{"parameters": (1 if run.encoder is None else 2) * pixels * run.latent_dim, "steps": steps, "steps_per_second": steps / seconds},
            **{"wall_seconds": seconds + 20, "train_seconds": seconds, "device_seconds": 0.98 * seconds},
            **{"evaluated": started + timedelta(seconds=seconds), "peak_memory_bytes": int(5e8 + 1e5 * run.latent_dim)},
            "sources": self.training(item.assembly),
        }

    def history(self, item: Planned) -> dict[str, Any]:
        """What training recorded: columns of rows."""
        run, training = item.run, item.run.train_settings
        steps = np.unique(np.linspace(steps_of(run) / ENTRIES, steps_of(run), ENTRIES).astype(int))
        share, rng = steps / steps[-1], self.numbers.rng(run, "history")
        costs = ("reconstruction", "kl") if run.estimator is not None else ("squared_error", "penalty")
        curves = {name: self.numbers.value(run, name) * (1 + np.exp(-8 * share)) * rng.normal(1, 0.01, len(steps)) for name in costs}
        curves |= {"surrogate": np.sum(list(curves.values()), axis=0), "gradient_norm": 50 * np.exp(-2 * share)}
        curves |= {"learning_rate": training.learning_rate * (0.5 + 0.5 * np.cos(np.pi * share)), "beta": (run.beta or 0) * np.minimum(2 * share, 1)}
        stop = training.temperature_stop or 1.0
        curves |= {"temperature": np.maximum(1 - 2 * share * (1 - stop), stop)}
        names, values = np.repeat(list(curves), len(steps)), np.concatenate(list(curves.values()))
        return {"run_id": run.id, "step": np.tile(steps, len(curves)), "name": names, "value": values}

    def evaluation(self, item: Planned, evaluation: EvaluationPlan) -> dict[str, list[Any]]:
        """Its rows in three tables; those of `units` as columns."""
        family, part = item.assembly.family, self.registry.evaluation(evaluation.name)
        declared = {**(family.measures if part.reports_costs else {}), **part.metrics}
        key = {"run_id": item.run.id, "evaluation": evaluation.name, "evaluation_id": evaluation.id}
        metrics = [{**key, **row} for row in self._metrics(item.run, evaluation, declared)]
        stored = {
            name: {**asdict(declared[name]), "estimate": declared[name].of_kl and family.estimated_kl} for name in {m["metric"] for m in metrics}
        }
        told = {"options": json.dumps(dict(evaluation.options)), "version": evaluation.version, "metrics": json.dumps(stored, sort_keys=True)}
        code = {"sources": self.measuring(evaluation.parts(self.registry)), "versions": self.versions}
        units = [
            {**key, "split": split_of("", evaluation), "unit": np.arange(len(values)), "metric": name, "value": values}
            for name, values in self.numbers.units(item.run, evaluation).items()
        ]
        return {"metrics": metrics, "evaluations": [{**key, **told, **code, **PLACE, "started": BEGAN, "seconds": 2.0}], "units": units}

    def _metrics(self, run: Run, evaluation: EvaluationPlan, declared: Mapping[str, Measure]) -> Iterator[dict[str, Any]]:
        """The rows of `metrics` but for their keys."""
        units = self.numbers.units(run, evaluation)
        n = run.latent_dim if evaluation.name in OF_UNITS else IMAGES.get(run.dataset, (1500, 500))[1]
        for name, measure in declared.items():
            if name.endswith(("_active", "_prior")) and run.estimator is None:
                continue  # a point code has neither
            for index in points(name, evaluation) if measure.index else (None,):
                value = self._measured(run, evaluation, name, index, units)
                error = None if evaluation.name == "active_units" or name == "r2" else abs(value) / n**0.5
                where = {"split": split_of(name, evaluation), "metric": name, "index_name": measure.index, "index": index}
                yield {**where, "value": value, "standard_error": error, "n": n}

    def _measured(self, run: Run, evaluation: EvaluationPlan, name: str, index: float | None, units: Mapping[str, np.ndarray]) -> float:
        """A metric, at a point of a curve if it is one."""
        if evaluation.name == "active_units":
            active = self.numbers.kl(run) > (threshold(run, evaluation) if index is None else index)
            return float((~active).sum() if name == "dead_units" else active.mean())
        if name in units and name != "kl":
            return float(units[name].mean())
        value = self.numbers.value(run, name)
        return value if index is None else _along(name, value, index)


def _along(name: str, value: float, index: float) -> float:
    """A curve through about `value`, that rises or falls as it should."""
    if name == "knn_accuracy":
        return float(1 - (1 - value) * (1000 / index) ** 0.3)
    if name.endswith("_at"):
        return float(value * (1.1 - index))
    if name == "relaxed_mean":
        return 1 + 0.05 * index
    return float(value * (0.5 + index**0.5)) if name.endswith("sse") else float(1 - (1 - value) * np.exp(-index))


def points(name: str, evaluation: EvaluationPlan) -> Sequence[float]:
    """Where a curve is measured."""
    options = evaluation.options
    return POINTS.get(name) or next((options[key] for key in ("sizes", "l1_weights", "temperatures", "samples") if key in options), OTHERS)


def split_of(metric: str, evaluation: EvaluationPlan) -> str:
    """The split that a metric is of."""
    own = "dictionary" if evaluation.name == "gabor_fit" else evaluation.options.get("split") or "validation"
    return SPLITS.get(metric, str(own))


def steps_of(run: Run) -> int:
    """How many steps its training has."""
    training, images = run.train_settings, IMAGES.get(run.dataset, (1500, 500))[0]
    return training.steps or max(1, int((training.epochs or 1) * (images // training.batch_size)))
