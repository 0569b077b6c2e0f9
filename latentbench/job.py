"""What one process is asked to do: a run, and what is measured on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from latentbench.settings import Run, digest
from latentbench.store import EVALUATION_FAILED, revision


@dataclass(frozen=True)
class EvaluationPlan:
    """One evaluation of a run. The id is its name and a hash over its version and options."""

    name: str
    options: Mapping[str, Any]
    version: str

    @cached_property
    def id(self) -> str:
        """`name-` and eight hexadecimal digits."""
        return f"{self.name}-{digest({'options': dict(self.options), 'version': self.version})[:8]}"


@dataclass(frozen=True)
class Job:
    """A run to be done, and its evaluations.

    With `trained`, the stored model is evaluated and not trained again. `seen` is the revision of what the store had of the run when the job was
    made (None: nothing): as long as it has that, the job is still to be done. `label` is the run in words that no other run of its suite has.
    """

    run: Run
    evaluations: tuple[EvaluationPlan, ...]
    trained: bool = False
    seen: str | None = None
    label: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.about)

    def rest(self, row: Mapping[str, Any] | None, evaluated: Collection[str]) -> Job | None:
        """What is still to do of it, as the store has the run's `row` and the ids of its evaluations.

        All, as long as the store has what it had; else what is missing, unless another process has seen the run fail.
        """
        if row is None:
            return Job(self.run, self.evaluations, label=self.label)
        if self.seen == revision(row, evaluated):
            return self
        if row["status"] == "failed" or row["failure_kind"] == EVALUATION_FAILED or all(e.id in evaluated for e in self.evaluations):
            return None
        return Job(self.run, self.evaluations, trained=True, seen=revision(row, evaluated), label=self.label)

    @property
    def about(self) -> str:
        """The run in a few words."""
        run = self.run
        networks = "|".join(name for name in (run.encoder, run.decoder) if name)
        return " ".join(word for word in (run.family, run.estimator, run.dataset, networks, f"seed {run.seed}") if word)
