"""Kinds of run: runs that differ in nothing which costs time, and that one measurement speaks for."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from latentbench.execution.speeds import SETTINGS, TIMELESS
from latentbench.results.provenance import environment, hardware
from latentbench.suites.labels import joined
from latentbench.suites.plan import Planned
from latentbench.suites.settings import Run

OF_A_STEP = ("batch_size", "optimizer", "temperature_start", "temperature_stop")
"""Training settings that decide what one step costs; others decide how many there are, or scale numbers."""
VERSION = 1
"""Of how kinds are measured; raised when their measurements change."""


@dataclass(frozen=True)
class Kind:
    """Runs of one kind: `costing` is what they have in common that costs time, evaluations included."""

    costing: Mapping[str, Any]
    items: tuple[Planned, ...]

    @property
    def first(self) -> Planned:
        """The run that is measured for all."""
        return self.items[0]

    @property
    def label(self) -> str:
        """The kind in words: the settings that all of its runs share, of those that tell the runs of the suite apart."""
        words = self.first.run.about.rpartition(" seed ")[0]
        shared = {name: value for name, value in self.first.varying.items() if _costs(name) and self._shares(name, value)}
        return f"{words} {joined(shared)}".rstrip()

    def _shares(self, name: str, value: str) -> bool:
        return all(item.varying.get(name) == value for item in self.items)

    def key(self, device: str) -> str:
        """What names its measurement on this machine: a hash over the kind, the code, the versions of packages, and the hardware."""
        place = {name: value for name, value in hardware(device).items() if name not in ("host", "threads")}
        made_by = {"sources": dict(self.first.sources), "versions": environment(), "processor": processor(), **place}
        return hashlib.sha256(json.dumps([VERSION, self.costing, made_by], sort_keys=True, default=str).encode()).hexdigest()[:32]


def kinds_of(items: Iterable[Planned]) -> list[Kind]:
    """The kinds of planned runs, in the order of their first runs."""
    groups: dict[str, tuple[Mapping[str, Any], list[Planned]]] = {}
    for item in items:
        costing = _costing(item)
        groups.setdefault(json.dumps(costing, sort_keys=True, default=str), (costing, []))[1].append(item)
    return [Kind(costing, tuple(found)) for costing, found in groups.values()]


def _costs(name: str) -> bool:
    """Whether a setting, dotted, decides what a step costs."""
    outer, _, inner = name.partition(".")
    return inner in OF_A_STEP if outer == "training" else outer not in TIMELESS


def _costing(item: Planned) -> dict[str, Any]:
    """What of a run costs time. Options of parts all count, as only the parts know what they do."""
    run: Run = item.run
    row, training = run.to_row(), run.train_settings
    settings = {name: row[name] for name in SETTINGS if name != "training"}
    step = {name: getattr(training, name) for name in OF_A_STEP}
    step |= {"clips": training.grad_clip is not None, "decays": training.weight_decay > 0}
    versions = {"plugins": dict(run.plugins), "data": dict(run.sources)}
    return {**settings, **step, **versions, "evaluations": sorted(evaluation.id for evaluation in item.evaluations)}


@cache
def processor() -> str:
    """The processor by its full name, where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def device_name(device: str) -> str:
    """The device in words, as in `AMD EPYC 7763, one core` or `NVIDIA A100`."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{processor()}, one core"
