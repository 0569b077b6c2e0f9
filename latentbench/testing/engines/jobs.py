"""The runs that engines are tried on: small ones of installed parts that need no files, and their results when this process executes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from latentbench.data.dataset import DataSet
from latentbench.errors import UserError
from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.models.family import AmortisedFamily
from latentbench.registry import load_registry
from latentbench.results.store import Store
from latentbench.suites.resolve import InapplicableError as Inapplicable
from latentbench.suites.resolve import resolve
from latentbench.testing.law import SkippedError

SHORT, MEDIUM = 30, 3000
"""Training steps of a run that is over at once, and of one that can be interrupted."""
DIVERGING = 1e30
"""A learning rate with which a run fails."""


def _candidates() -> Iterator[dict[str, Any]]:
    """Combinations of installed parts whose data need no files."""
    parts = load_registry().parts
    families = [name for name, part in parts["families"].items() if issubclass(part, AmortisedFamily)]
    datasets = [name for name, part in parts["datasets"].items() if issubclass(part, DataSet) and not part.files]
    for dataset, family, estimator, network in product(datasets, families, parts["estimators"], parts["networks"]):
        yield {"dataset": dataset, "family": family, "estimator": estimator, "encoder": network, "decoder": network}


@cache
def settings() -> Mapping[str, Any]:
    """The first combination of installed parts that can be run.

    Raises:
        SkippedError: there is none.
    """
    for parts in _candidates():
        chosen = {**parts, "latent_dim": 6, "training.batch_size": 50}
        try:
            resolve({**chosen, "seed": 1, "training.steps": SHORT}, load_registry(), "cpu")
        except (UserError, Inapplicable):  # the next one may do
            continue
        return chosen
    raise SkippedError("no installed parts make a run whose data need no files")


def job(seed: int, steps: int = SHORT, device: str = "cpu", **changes: Any) -> Job:
    """A run of some training steps; `changes` are further settings, `__` for a dot."""
    given = {**settings(), "seed": seed, "training.steps": steps, **{key.replace("__", "."): value for key, value in changes.items()}}
    run = resolve(given, load_registry(), device).run
    return Job(run, (), label=f"seed {seed}, {steps} steps")


def diverging(device: str) -> Job:
    """A run that fails."""
    return job(1, device=device, training__learning_rate=DIVERGING)


@dataclass(frozen=True)
class Result:
    """What a run has stored: its status, the kind of failure, the history, the tensors of the model, and the seconds that it took."""

    status: str
    failure: str | None
    history: tuple[tuple[Any, ...], ...] = ()
    tensors: Mapping[str, Tensor] | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, store: Store, run_id: str) -> Result | None:
        """The result in a results folder; None where there is none."""
        row, _ = store.state_of(run_id)
        if row is None:
            return None
        history = tuple(sorted((h["step"], h["name"], h["value"]) for h in store.rows("history").to_pylist() if h["run_id"] == run_id))
        tensors = store.read_checkpoint(run_id) if store.has_checkpoint(run_id) else None
        return cls(row["status"], row["failure_kind"], history, tensors, row["wall_seconds"] or 0.0)

    def difference(self, other: Result | None) -> str:
        """How another result differs, as a clause; empty where it is the same."""
        if other is None:
            return "nothing is stored"
        if (self.status, self.failure) != (other.status, other.failure):
            return f"{other.status} ({other.failure}), expected {self.status} ({self.failure})"
        if self.history != other.history:
            return f"{len(other.history)} numbers of the training, of which {len(set(self.history) ^ set(other.history))} differ"
        mine, theirs = self.tensors or {}, other.tensors or {}
        changed = [
            name for name in mine.keys() | theirs.keys() if name not in mine or name not in theirs or not torch.equal(mine[name], theirs[name])
        ]
        return f"parameters differ: {', '.join(sorted(changed)[:3])}" if changed else ""


class References:
    """Results of jobs that this process has executed by itself, on one thread; each once."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._found: dict[str, Result] = {}

    @cached_property
    def _folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="latentbench-check-")

    def result(self, wanted: Job) -> Result:
        """The result of a job."""
        if wanted.run.id not in self._found:
            store, threads = Store(Path(self._folder.name)), torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                execute(replace(wanted, trained=False, seen=None), load_registry(), store, self.device)
            finally:
                torch.set_num_threads(threads)
            found = Result.of(store, wanted.run.id)
            assert found is not None, "execute stores every run"
            self._found[wanted.run.id] = found
        return self._found[wanted.run.id]
