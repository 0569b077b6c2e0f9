"""What tests of derived metrics share: results folders of a few runs, and how often intervals cover the truth."""

import json
from dataclasses import asdict

import numpy as np
import torch

from latentbench.reporting import Measure, Query, select
from latentbench.results.store import Store

SIZES = np.array([200, 1000, 5000])
DECLARED = {name: asdict(Measure(better, "", "")) for name, better in (("nelbo", "lower"), ("r2", "higher"), ("zero_fraction", None))}


def add(store, run_id, metrics=None, split="validation", draws=None, units=None, training=None, **settings):
    """A run with its metrics, the accuracies of knn's draws [P, D] and numbers of latents; a failed one without metrics."""
    run = {"family": "poisson", "estimator": "mc", "dataset": "mnist", "encoder": "linear", "decoder": "linear", "latent_dim": 4, "beta": 1.0}
    run |= {"training": json.dumps({"epochs": 3, **(training or {})}), "status": "failed" if metrics is None and draws is None else "done"}
    store.write_rows("runs", run_id, [{**run, **settings, "run_id": run_id}])
    key = {"run_id": run_id, "evaluation": "e", "evaluation_id": f"e-{split}"}
    rows = [{**key, "split": split, "metric": name, "value": value} for name, value in (metrics or {}).items()]
    if draws is not None:
        curve = zip(SIZES, draws.mean(1), strict=True)
        rows += [{**key, "split": split, "metric": "knn_accuracy", "index_name": "sample_size", "index": n, "value": mean} for n, mean in curve]
        store.write_arrays(run_id, f"e-{split}", {"sizes": torch.tensor(SIZES), "accuracies": torch.tensor(draws)})
    store.write_rows("metrics", f"{run_id}-e-{split}", rows)
    store.write_rows("evaluations", f"{run_id}-e-{split}", [{**key, "metrics": json.dumps(DECLARED)}])
    numbers = [{**key, "split": split, "metric": "kl", "unit": unit, "value": value} for unit, value in enumerate(units or [])]
    store.write_rows("units", f"{run_id}-e-{split}", numbers)


def derived(store, metric, **query):
    """The rows of a derived metric, as a leaderboard gets them."""
    return select([store] if not isinstance(store, Store) else [store.path], Query(metric=metric, **query))


def by(rows, name):
    return rows.set_index(name)["value"].to_dict()


def coverage(truth, sample, confidence, times):
    hits = 0
    for _ in range(times):
        fields = sample().fields(confidence, 5)
        hits += fields["low"] <= truth <= fields["high"]
    return hits / times


BETAS = (0.2, 0.6, 1.0, 4.0)


def sweep(store, sparsities, errors, family="poisson", betas=BETAS, **settings):
    """A run for every beta and seed; sparsities and errors are [betas, seeds]."""
    for beta, row, error in zip(betas, sparsities, errors, strict=True):
        for seed, (value, at) in enumerate(zip(row, error, strict=True)):
            metrics = {"lifetime_sparsity": value, "sse_at_location": at}
            add(store, f"{family}{beta}-{seed}", metrics, seed=seed, beta=beta, family=family, **settings)


def repeated(values, seeds=2):
    return np.array(values, float)[:, None] + np.zeros(seeds)
