"""Evaluation of a trained model: each asked-for evaluation, with its own random stream, into rows of the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from latentbench.evaluation import Outcome, Trained
from latentbench.job import EvaluationPlan
from latentbench.registry import Registry
from latentbench.store import Store
from latentbench.streams import stream


def evaluate(
    trained: Trained,
    run_id: str,
    evaluations: Iterable[EvaluationPlan],
    registry: Registry,
    store: Store,
    unstored: tuple[type[BaseException], ...] = (),
) -> dict[str, Exception]:
    """Measure and store; return the failures by evaluation, which do not keep the others from running. The model is put into eval mode.

    Exceptions of the types `unstored` are raised.
    """
    trained.model.eval()
    failures: dict[str, Exception] = {}
    for item in evaluations:
        try:
            part = registry.evaluation(item.name)
            evaluation = part(part.options_model.model_validate(dict(item.options)))
            outcome = evaluation.evaluate(trained, stream(trained.seed, "evaluation", item.id))
        except unstored:
            raise
        except Exception as error:  # foreign code may fail in any way; what else was measured is worth keeping
            failures[item.name] = error
        else:
            _store(outcome, run_id, item, store)
    return failures


def _store(outcome: Outcome, run_id: str, item: EvaluationPlan, store: Store) -> None:
    """Arrays, pictures and units first: where metrics are, the evaluation is whole."""
    key: dict[str, Any] = {"run_id": run_id, "evaluation": item.name, "evaluation_id": item.id}
    fragment = f"{run_id}-{item.id}"
    if outcome.arrays:
        store.write_arrays(run_id, item.id, outcome.arrays)
    for name, picture in outcome.pictures.items():
        store.write_picture(run_id, f"{item.id}-{name}", picture)
    if outcome.units:
        units = [
            {**key, "split": m.split, "unit": unit, "metric": m.name, "value": value}
            for m in outcome.units
            for unit, value in enumerate(m.values.double().tolist())
        ]
        store.write_rows("units", fragment, units)
    metrics = [
        {**key, "split": m.split, "metric": m.name, "index_name": m.index_name, "index": m.index, "value": m.value}
        | {"standard_error": m.standard_error, "n": m.n}
        for m in outcome.metrics
    ]
    store.write_rows("metrics", fragment, metrics)
