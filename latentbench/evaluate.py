"""Evaluation of a trained model: each asked-for evaluation, with its own random stream, into rows of the store."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from latentbench.evaluation import Outcome, Trained
from latentbench.job import EvaluationPlan
from latentbench.neutral import with_neutral
from latentbench.provenance import environment, evaluation_sources, hardware
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
    """Measure and store; return the failures by evaluation, as suites name it, which do not keep the others from running. The model is put into eval
    mode.

    Exceptions of the types `unstored` are raised.
    """
    trained.model.eval()
    failures: dict[str, Exception] = {}
    for item in evaluations:
        began, start = datetime.now(UTC), time.monotonic()
        try:
            part = registry.evaluation(item.name)
            evaluation = part(part.options_model.model_validate(with_neutral(part.options_model, item.options)))
            outcome = evaluation.evaluate(trained, stream(trained.seed, "evaluation", item.id))
        except unstored:
            raise
        except Exception as error:  # foreign code may fail in any way; what else was measured is worth keeping
            failures[str(item)] = error
        else:
            place = hardware(str(trained.model.device))
            origin = {"started": began, "seconds": time.monotonic() - start, "host": place["host"], "device_name": place["device_name"]}
            origin |= {"sources": json.dumps(evaluation_sources(part)), "versions": json.dumps(environment())}
            _store(outcome, run_id, item, origin, store)
    return failures


def _store(outcome: Outcome, run_id: str, item: EvaluationPlan, origin: Mapping[str, Any], store: Store) -> None:
    """Arrays, pictures, units and where it comes from first: where metrics are, the evaluation is whole."""
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
    store.write_rows("evaluations", fragment, [{**key, "options": json.dumps(dict(item.options)), "version": item.version, **origin}])
    metrics = [
        {**key, "split": m.split, "metric": m.name, "index_name": m.index_name, "index": m.index, "value": m.value}
        | {"standard_error": m.standard_error, "n": m.n}
        for m in outcome.metrics
    ]
    store.write_rows("metrics", fragment, metrics)
