"""Evaluation of a trained model: each asked-for evaluation, with its own random stream, into rows of the store."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from numbers import Real
from types import NoneType
from typing import Any

import torch
from torch import Tensor

from latentbench.contract import check_class, described, origin
from latentbench.errors import UserError, nearest
from latentbench.evaluation.contract import Evaluation
from latentbench.evaluation.outcome import Metric, Outcome, PerImage, PerUnit
from latentbench.evaluation.trained import Trained
from latentbench.measure import Measure
from latentbench.models.family import Family
from latentbench.neutral import with_neutral
from latentbench.registry import Registry
from latentbench.results.provenance import environment, evaluation_sources, hardware
from latentbench.results.store import Store
from latentbench.streams import stream
from latentbench.suites.evaluation_plan import EvaluationPlan

MAX_TOLD = 3
"""How many metrics that are not finite a message names."""


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

    A number that is not finite is a failure of its evaluation, of which nothing is stored then. Exceptions of the types `unstored` are raised.
    """
    trained.model.eval()
    failures: dict[str, Exception] = {}
    for item in evaluations:
        began, start = datetime.now(UTC), time.monotonic()
        try:
            part = registry.evaluation(item.name)
            evaluation = part(part.options_model.model_validate(with_neutral(part.options_model, item.options)))
            outcome = evaluation.evaluate(trained.allowing(item.built(registry)), stream(trained.seed, "evaluation", item.id))
            check_outcome(part, outcome, trained.model.family)
        except unstored:
            raise
        except Exception as error:  # foreign code may fail in any way; what else was measured is worth keeping
            failures[str(item)] = error
        else:
            place = hardware(str(trained.model.device))
            measured = {"started": began, "seconds": time.monotonic() - start, "host": place["host"], "device_name": place["device_name"]}
            measured |= {
                "sources": json.dumps(evaluation_sources(item.parts(registry))),
                "metrics": _declarations(outcome, _declared(part, trained.model.family), trained.model.family.estimated_kl),
                "versions": json.dumps(environment()),
            }
            _store(outcome, run_id, item, measured, store)
    return failures


def check_outcome(part: type[Evaluation], outcome: object, family: Family) -> None:
    """Hold what an evaluation returned against its contract.

    Raises:
        UserError: it is something else, a metric is not declared, or a metric or its standard error is not finite. Numbers of single units may be:
            not all have every metric.
    """
    what = f"{origin(part)}.evaluate(...)"
    check_class(what, outcome, Outcome)
    assert isinstance(outcome, Outcome)
    if not outcome.metrics:
        raise UserError(f"{what} returned no metric, expected at least one")
    for metric in outcome.metrics:
        check_class(f"{what}.metrics", metric, Metric)
        for name, value in (("value", metric.value), ("standard_error", metric.standard_error), ("n", metric.n), ("index", metric.index)):
            if isinstance(value, bool) or not isinstance(value, Real if name == "value" else (Real, NoneType)):
                raise UserError(f"{what} returned the metric '{metric.name}' with {name} = {value!r}, expected a number")
        _check_declared(what, metric, _declared(part, family))
    for unit in outcome.units:
        check_class(f"{what}.units", unit, PerUnit)
        if not (isinstance(unit.values, Tensor) and unit.values.ndim == 1):
            raise UserError(f"{what} returned the units of '{unit.name}' as {described(unit.values)}, expected a number for each, [K]")
    for image in outcome.images:
        check_class(f"{what}.images", image, PerImage)
        if not (isinstance(image.values, Tensor) and image.values.ndim == 1):
            raise UserError(f"{what} returned '{image.name}' of images as {described(image.values)}, expected a number for each, [N]")
    for name, array in (*outcome.arrays.items(), *outcome.pictures.items()):
        check_class(f"{what}: '{name}'", array, Tensor)
    for name, picture in outcome.pictures.items():
        if picture.dtype != torch.uint8 or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)):
            raise UserError(f"{what} returned the picture '{name}' as {described(picture)}, expected bytes, uint8 [H, W] or [H, W, 3]")
    wrong = [text for metric in outcome.metrics if (text := _not_finite(metric))]
    if wrong:
        raise UserError(", ".join(wrong[:MAX_TOLD]) + (f" and {len(wrong) - MAX_TOLD} more" if len(wrong) > MAX_TOLD else ""))


def _declared(part: type[Evaluation], family: Family) -> dict[str, Measure]:
    """The metrics that an evaluation of a model may return."""
    return {**(family.measures if part.reports_costs else {}), **part.metrics}


def _declarations(outcome: Outcome, declared: Mapping[str, Measure], estimated_kl: bool) -> str:
    """The declarations of the metrics that were measured, as JSON; `estimate` says that the KL in them is one."""
    measured = sorted({metric.name for metric in outcome.metrics})
    return json.dumps({name: {**asdict(declared[name]), "estimate": declared[name].of_kl and estimated_kl} for name in measured})


def _check_declared(what: str, metric: Metric, declared: Mapping[str, Measure]) -> None:
    if metric.name not in declared:
        raise UserError(
            f"{what} returned the metric '{metric.name}', which is not declared{nearest(metric.name, declared)}; "
            f"declared: {', '.join(declared) or 'none'}"
        )
    index = declared[metric.name].index
    if metric.index_name != index:
        raise UserError(f"{what} returned the metric '{metric.name}' with the index {metric.index_name!r}, and it declares {index!r}")


def _not_finite(metric: Metric) -> str:
    """What of a metric is not finite, as in `r2 on validation is nan`; empty where nothing is."""
    place = "" if metric.index_name is None else f" at {metric.index_name} {metric.index:g}"
    for name, value in ((metric.name, metric.value), (f"the standard error of {metric.name}", metric.standard_error)):
        if value is not None and not math.isfinite(value):
            return f"{name} on {metric.split}{place} is {value:g}"
    return ""


def _store(outcome: Outcome, run_id: str, item: EvaluationPlan, measured: Mapping[str, Any], store: Store) -> None:
    """Arrays, pictures, units and where it comes from first: where metrics are, the evaluation is whole."""
    key: dict[str, Any] = {"run_id": run_id, "evaluation": item.name, "evaluation_id": item.id}
    fragment = f"{run_id}-{item.id}"
    arrays = {**outcome.arrays, **{f"per_image/{m.split}/{m.name}": m.values.float() for m in outcome.images}}
    if arrays:
        store.write_arrays(run_id, item.id, arrays)
    for name, picture in outcome.pictures.items():
        store.write_picture(run_id, f"{item.id}-{name}", picture)
    if outcome.units:
        units = [
            {**key, "split": m.split, "unit": unit, "metric": m.name, "value": value}
            for m in outcome.units
            for unit, value in enumerate(m.values.double().tolist())
        ]
        store.write_rows("units", fragment, units)
    store.write_rows("evaluations", fragment, [{**key, "options": json.dumps(dict(item.options)), "version": item.version, **measured}])
    metrics = [
        {**key, "split": m.split, "metric": m.name, "index_name": m.index_name, "index": m.index, "value": m.value}
        | {"standard_error": m.standard_error, "n": m.n}
        for m in outcome.metrics
    ]
    store.write_rows("metrics", fragment, metrics)
