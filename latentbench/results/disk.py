"""The disk space that a suite takes when all of its runs are stored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from statistics import fmean

from latentbench.files import listed
from latentbench.models.model import build_model
from latentbench.models.numerics import torch_dtype
from latentbench.part import Assembly
from latentbench.results.store import Store
from latentbench.suites.plan import Plan

MAX_SAMPLED = 10
"""Stored runs whose arrays are weighed for each evaluation."""


@dataclass(frozen=True)
class Disk:
    """Bytes of trained models, of those of `keep_checkpoints`, and of arrays and pictures.

    `unbuilt` counts the runs whose models could not be built to be weighed. `unknown` are the evaluations that may store arrays and that the results
    folder has no measurement of yet.
    """

    models: int
    kept: int
    arrays: int
    unbuilt: int
    unknown: Sequence[str]

    @property
    def total(self) -> int:
        """All that is known."""
        return self.models + self.kept + self.arrays


def disk(plan: Plan, store: Store) -> Disk:
    """What the runs of a plan take: models by their parameters, arrays as the evaluations of stored runs have them.

    Raises:
        UserError: the results folder cannot be read.
    """
    weighed = [_model_bytes(item.assembly, _key(item.assembly), item.run.dtype) for item in plan.runs]
    models = [size or 0 for size in weighed]
    known = _arrays(store)
    asked = [evaluation for item in plan.runs for evaluation in item.evaluations]
    unknown = dict.fromkeys(str(evaluation) for evaluation in asked if evaluation.id not in known)
    return Disk(
        sum(models),
        sum(model * sum(share < 1 for share in item.keep_checkpoints) for model, item in zip(models, plan.runs, strict=True)),
        round(sum(known.get(evaluation.id, 0.0) for evaluation in asked)),
        weighed.count(None),
        list(unknown),
    )


def _key(assembly: Assembly) -> tuple[str, ...]:
    return tuple(f"{setting} {options.model_dump_json()}" for setting, options in sorted(assembly.options.items()))


@cache
def _model_bytes(assembly: Assembly, options: tuple[str, ...], dtype: str) -> int | None:
    """The bytes of a model's tensors, or None; the assembly is equal to others of its parts, so that its options are named as well."""
    try:
        model = build_model(assembly, 0, "cpu", torch_dtype(dtype))
    except Exception:  # foreign code may fail in any way, and memory may not suffice: the run will fail and say why, and planning it does not
        return None
    total: int = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return total


def _arrays(store: Store) -> dict[str, float]:
    """Evaluation id -> mean bytes of the arrays and pictures of one run."""
    runs: dict[str, list[str]] = {}
    for run_id, evaluation_id in store.read("evaluations", ["run_id", "evaluation_id"]).itertuples(index=False, name=None):
        runs.setdefault(evaluation_id, []).append(run_id)
    return {name: fmean(_bytes(store, run_id, name) for run_id in ids[:MAX_SAMPLED]) for name, ids in runs.items()}


def _bytes(store: Store, run_id: str, evaluation_id: str) -> int:
    total = 0
    for path in (path for kind in ("arrays", "pictures") for path in listed(store.path / kind / run_id)):
        if path.stem == evaluation_id or path.stem.startswith(f"{evaluation_id}-"):
            with suppress(FileNotFoundError):
                total += path.stat().st_size
    return total
