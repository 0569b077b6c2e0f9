"""A suite, a published table and results that nothing was trained for, to verify."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from latentbench.registry import Registry
from latentbench.results.store import Store
from latentbench.suites.plan import Plan, Planned, make_plan
from latentbench.suites.suite import load_suite

SUITE = """\
name: small
seeds: 1-5
evaluations: [elbo, active_units, {active_units: {rule: paper}}]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, estimator: mc, dataset: digits, training: {steps: 30, batch_size: 50}}
sweeps:
  - family: [poisson, gaussian, laplace, categorical]
expect: published/table
"""
COMMON = {"estimator": "mc", "dataset": "digits", "encoder": "linear", "decoder": "linear", "latent_dim": 4}
SEEDS = [-1.0, -0.5, 0.0, 0.5, 1.0]
"""Five seeds about their mean, in units of a spread."""


class World:
    """A folder with a suite, `results/published` and `results`."""

    def __init__(self, folder: Path, registry: Registry, suite: str = SUITE) -> None:
        self.suite, self.registry = folder / "suite.yaml", registry
        self.results, self.published = Store(folder / "results"), Store(folder / "results" / "published")
        self.suite.write_text(suite)

    def plan(self, device: str = "cpu") -> Plan:
        """What the suite asks for."""
        return make_plan(load_suite(self.suite), self.registry, device)

    def print_table(self, values: Mapping[str, tuple[float, float | None]], metric: str = "nelbo", **columns: Any) -> None:
        """Publish a value and its bar for each family."""
        where = {"split": "validation", "metric": metric, "source": "a paper", **columns}
        self.published.write_rows(
            "summaries", "table", [{**COMMON, "family": name, "value": value, "interval": bar, **where} for name, (value, bar) in values.items()]
        )

    def declare(self, metric: str, unit: str, name: str = "elbo", **options: Any) -> None:
        """Say with the published table what a metric is and how it was measured."""
        about = {"better": "lower", "unit": unit, "meaning": "Made up.", "index": None, "less_constant": False, "of_kl": False}
        row = {"run_id": "table", "evaluation": name, "evaluation_id": f"{name}-1", "options": json.dumps(options)}
        self.published.write_rows("evaluations", "table", [{**row, "metrics": json.dumps({metric: about})}])

    def run(
        self,
        family: str,
        values: Sequence[float | None],
        metric: str = "nelbo",
        store: Store | None = None,
        evaluation: Callable[[Planned], str] = lambda item: next(e.id for e in item.evaluations if e.name == "elbo"),
        plan: Plan | None = None,
        **columns: Any,
    ) -> list[str]:
        """Store runs of a family, the first seeds of the suite; None is a run that failed. Returns their ids."""
        store, ids = store or self.results, []
        items = [item for item in (plan or self.plan()).runs if item.run.family == family]
        for item, value in zip(items, values, strict=False):
            outcome = {"status": "failed", "failure_kind": "non-finite"} if value is None else {"status": "done"}
            store.write_rows("runs", item.run.id, [{**item.run.to_row(), **outcome, **columns}])
            ids.append(item.run.id)
            if value is not None:
                self.measure(item, metric, value, evaluation(item), store)
        return ids

    def measure(self, item: Planned, metric: str, value: float, evaluation_id: str, store: Store | None = None) -> None:
        """Store one value of a run, and how it was measured."""
        chosen = next(e for e in item.evaluations if e.id == evaluation_id)
        key = {"run_id": item.run.id, "evaluation": chosen.name, "evaluation_id": chosen.id}
        (store or self.results).write_rows("evaluations", f"{item.run.id}-{chosen.id}", [{**key, "options": json.dumps(dict(chosen.options))}])
        row = {**key, "split": "validation", "metric": metric, "value": value}
        (store or self.results).write_rows("metrics", f"{item.run.id}-{chosen.id}", [row])
