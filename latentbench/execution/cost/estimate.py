"""The cost of a plan's runs: measurements of their kinds, taken from the cache or made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch

from latentbench.data.dataset import DataSet
from latentbench.data.fetch import prepare
from latentbench.errors import UserError
from latentbench.execution.cost.apart import apart
from latentbench.execution.cost.kind import Kind, device_name, kinds_of
from latentbench.execution.cost.measure import measure
from latentbench.execution.cost.measured import Measured
from latentbench.execution.cost.progress import Tell
from latentbench.files import cache_folder, read_json, write_atomically
from latentbench.suites.plan import Plan


@dataclass(frozen=True)
class KindCost:
    """A kind of run with what was measured of it, or why it was not."""

    kind: Kind
    measured: Measured | None
    problem: str = ""


@dataclass(frozen=True)
class Estimate:
    """What the runs of a plan will cost on a device, and how many kinds were measured anew."""

    device: str
    kinds: tuple[KindCost, ...]
    made: int

    @cached_property
    def of_run(self) -> Mapping[str, Measured]:
        """Run id -> the measurement of its kind, where there is one."""
        return {item.run.id: cost.measured for cost in self.kinds if cost.measured is not None for item in cost.kind.items}


def estimate(plan: Plan, device: str, tell: Tell, plugins: Sequence[Path] = (), fresh: bool = False) -> Estimate:
    """Measure every kind of run of a plan that the cache folder has no measurement of, each in a process of its own; nothing is downloaded.

    What was measured is kept at once, so that an estimate which is interrupted continues where it was.

    Args:
        plan: its runs, with the code that there is for them (`with_sources`).
        device: `cpu`, or `cuda:N`.
        tell: told of progress over the kinds that are not in the cache.
        plugins: files whose parts are used without packaging.
        fresh: measure all kinds again.
    """
    kinds = kinds_of(plan.runs)
    if device.startswith("cuda") and not torch.cuda.device_count():
        return Estimate("CUDA", tuple(KindCost(kind, None, "this machine has no CUDA GPU") for kind in kinds), 0)
    keys = [kind.key(device) for kind in kinds]
    costs = [KindCost(kind, None if fresh else _cached(key)) for kind, key in zip(kinds, keys, strict=True)]
    ahead = [place for place, cost in enumerate(costs) if cost.measured is None]
    problems = {dataset: _problem(dataset) for dataset in dict.fromkeys(_data_of(kinds[place]) for place in ahead)}
    lost = {place: problem for place in ahead if (problem := problems[_data_of(kinds[place])])}
    ahead = [place for place in ahead if place not in lost]
    for done, place in enumerate(ahead):
        tell(done, len(ahead), kinds[place].label)
        costs[place] = _measured(kinds[place], keys[place], plugins, device)
    costs = [KindCost(cost.kind, None, lost[place]) if place in lost else cost for place, cost in enumerate(costs)]
    return Estimate(device_name(device), tuple(costs), len(ahead))


def _data_of(kind: Kind) -> DataSet:
    return cast("DataSet", kind.first.assembly.dataset)


def _measured(kind: Kind, key: str, plugins: Sequence[Path], device: str) -> KindCost:
    try:
        found = apart(measure, kind.first.run, kind.first.evaluations, plugins, device)
    except UserError as error:
        return KindCost(kind, None, str(error))
    with suppress(OSError):  # a cache that cannot be written is no error: it is measured again
        write_atomically(_path(key), json.dumps({"kind": kind.costing, "measured": asdict(found)}, default=str).encode())
    return KindCost(kind, found)


def _problem(dataset: DataSet) -> str:
    """Why a data set cannot be used; empty where its files are here, and prepared."""
    cache = cache_folder()
    if any(source.find(cache) is None for source in dataset.files):
        return f"its data are not on this machine: `latentbench data fetch {dataset.name}`"
    try:
        prepare([dataset])
    except UserError as error:
        return str(error)
    return ""


def _cached(key: str) -> Measured | None:
    """The measurement that is kept under a key; one that cannot be read is made again."""
    try:
        return Measured(**read_json(_path(key))["measured"])
    except (OSError, UserError, ValueError, TypeError, KeyError):
        return None


def _path(key: str) -> Path:
    return cache_folder() / "costs" / f"{key}.json"
