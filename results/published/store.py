"""What all tables have in common: settings, keys, and rows of runs with what was measured of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from declared import EVALUATIONS, Evaluation

from latentbench.results.store import Store
from latentbench.suites.settings import digest

PAPER = "Poisson VAE (NeurIPS 2024)"
PIXELS = {"mnist": 784, "cifar16": 256, "van_hateren": 256}
EPOCHS = {"mnist": 1200, "cifar16": 1500, "van_hateren": 3000}
TEMPERATURES = {"poisson": 0.05, "categorical": 0.1}
"""Where the relaxed families end; they start at 1."""
FAMILY_OPTIONS = {"poisson": {"log_rate_limit": 5.3, "truncate": True}, "categorical": {"groups": 1}}


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a CSV file, without empty cells."""
    frame = pd.read_csv(folder / f"{name}.csv")
    return [{str(k): v for k, v in row.items() if not pd.isna(v)} for row in frame.to_dict("records")]


def text(**given: Any) -> str:
    """Nested settings as JSON."""
    return json.dumps({key: value for key, value in given.items() if value is not None}, sort_keys=True)


def settings(row: Mapping[str, Any], known: bool = True) -> dict[str, Any]:
    """The settings of an amortised model of the paper, in the columns that latentbench's own runs have.

    `row` has what the CSV files say. The rest is the authors' code of November 2024 (protocol `paper`); with `known` False it is not said, and left
    out.
    """
    family, dataset, relaxed = row["family"], row["dataset"], row["family"] in TEMPERATURES and row["estimator"] == "mc"
    stop = {"temperature_start": 1.0, "temperature_stop": TEMPERATURES[family]} if relaxed else {}
    fall = {"temperature_anneal": "linear", "temperature_portion": 0.5} if relaxed else {}
    small = {"batch_size": 200, "learning_rate": 0.002, "grad_clip": 1000.0, "restarts": 2, "weight_decay": 0.0003}
    large = {"batch_size": 1000, "learning_rate": 0.005, "grad_clip": 500.0, "restarts": 0, "weight_decay": 0.0}
    schedule = {"optimizer": "adamax", "schedule": "cosine", "learning_rate_min": 1e-5, "warmup": "5 epochs"}
    weight = {"beta_min": 1e-4, "beta_anneal": 0.5, "beta_hold": 0.0 if row["decoder"] == "linear" else 0.01}
    training = {"epochs": float(row.get("epochs", EPOCHS[dataset])), **(small if dataset == "mnist" else large), **schedule, **weight, **stop, **fall}
    return {
        **{key: row[key] for key in ("family", "estimator", "dataset", "encoder", "decoder", "latent_dim")},
        **{"family_options": text(**FAMILY_OPTIONS.get(family, {})), "estimator_options": text(covariance=row.get("covariance"))},
        **{"dataset_options": "{}", "likelihood": "gaussian", "likelihood_options": "{}", "beta": float(row.get("beta", 1.0))},
        **{"encoder_options": text(bias=row["encoder"] == "conv"), "decoder_options": text(bias=row["decoder"] == "conv")},
        **{"protocol": "paper", "dtype": "float32", "device": "cuda", "limit_data": 1.0, "training": text(**training) if known else "{}"},
    }


def constant(dataset: str) -> float:
    """What reported costs leave out: M/2 ln pi, of a Gaussian likelihood of variance 1/2."""
    return PIXELS[dataset] / 2 * math.log(math.pi)


def key_of(**identity: Any) -> str:
    """The id of a fit: of what tells it from the others in its source, which does not change with the columns of tables."""
    return digest({"published": identity})


def measured_by(metrics: Iterable[str]) -> list[tuple[Evaluation, list[str]]]:
    """The evaluations that have these metrics, with theirs.

    Raises:
        ValueError: none has one of them.
    """
    wanted = set(metrics)
    chosen = [(evaluation, [name for name in evaluation.metrics if name in wanted]) for evaluation in EVALUATIONS]
    missing = wanted.difference(*(names for _, names in chosen))
    if missing:
        raise ValueError(f"no evaluation declares {', '.join(sorted(missing))}")
    return [(evaluation, names) for evaluation, names in chosen if names]


Values = Mapping[str, float | Sequence[tuple[str, float, float]]]
"""Metric -> value, or a curve: (name of its index, index, value)."""


def write_runs(store: Store, name: str, runs: Sequence[tuple[Mapping[str, Any], Values]]) -> None:
    """Runs, how they were measured and what came out, as a file of each table.

    Raises:
        ValueError: two runs have one key.
    """
    ids = [run["run_id"] for run, _ in runs]
    if len(set(ids)) < len(ids):
        raise ValueError(f"{name}: {len(ids) - len(set(ids))} runs have keys that others have")
    evaluations, metrics = [], []
    for run, values in runs:
        for evaluation, names in measured_by(values):
            evaluations.append(evaluation.row(run["run_id"], names))
            key = {"run_id": run["run_id"], "evaluation": evaluation.name, "evaluation_id": evaluation.id, "split": "validation"}
            for metric in names:
                value = values[metric]
                curve = [(None, None, value)] if isinstance(value, float) else value
                metrics += [{**key, "metric": metric, "index_name": of, "index": index, "value": number} for of, index, number in curve]
    store.write_rows("runs", name, [{"status": "done", **run} for run, _ in runs])
    if metrics:
        store.write_rows("evaluations", name, evaluations)
        store.write_rows("metrics", name, metrics)


def write_summaries(store: Store, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table of summaries; its metrics are declared as measured of a run that has the table's name."""
    store.write_rows("summaries", name, [{"split": "validation", **row} for row in rows])
    measured = measured_by(row["metric"] for row in rows)
    store.write_rows("evaluations", name, [evaluation.row(name, names) for evaluation, names in measured])
