"""What one process is asked to do: a run, and what is measured on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from latentbench.results.store import EVALUATION_FAILED, revision
from latentbench.suites.settings import Run, digest


@dataclass(frozen=True)
class EvaluationPlan:
    """One evaluation of a run. The id is its name and a hash over its version and options, of which `title` shows those that a suite chose."""

    name: str
    options: Mapping[str, Any]
    version: str
    title: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.title or self.name

    @cached_property
    def id(self) -> str:
        """`name-` and eight hexadecimal digits."""
        return f"{self.name}-{digest({'options': dict(self.options), 'version': self.version})[:8]}"


@dataclass(frozen=True)
class Job:
    """A run to be done, and its evaluations.

    With `trained`, the stored model is evaluated and not trained again. `seen` is the revision of what the store had of the run when the job was
    made (None: nothing): as long as it has that, the job is still to be done. `sources` is the code that the run was planned with (as
    `latentbench.results.provenance.Sources`): a process with other code does not execute it. `label` is the run in words that no other run of its suite has.
    """

    run: Run
    evaluations: tuple[EvaluationPlan, ...]
    trained: bool = False
    seen: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    label: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.about)

    def rest(self, row: Mapping[str, Any] | None, evaluated: Collection[str]) -> Job | None:
        """What is still to do of it, as the store has the run's `row` and the ids of its evaluations.

        All, as long as the store has what it had; else what is missing, unless another process has seen the run fail.
        """
        if row is None:
            return replace(self, trained=False, seen=None)
        if self.seen == revision(row, evaluated):
            return self
        missing = tuple(e for e in self.evaluations if e.id not in evaluated)
        if row["status"] == "failed" or row["failure_kind"] == EVALUATION_FAILED or not missing:
            return None
        return replace(self, evaluations=missing, trained=True, seen=revision(row, evaluated))

    @property
    def about(self) -> str:
        """The run in a few words."""
        run = self.run
        networks = "|".join(name for name in (run.encoder, run.decoder) if name)
        return " ".join(word for word in (run.family, run.estimator, run.dataset, networks, f"seed {run.seed}") if word)
