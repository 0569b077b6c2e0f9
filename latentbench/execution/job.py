"""What one process is asked to do: a run, and what is measured on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from latentbench.imported import Sources
from latentbench.results.states import run_state
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.run_state import Kind
from latentbench.suites.settings import Run


@dataclass(frozen=True)
class Job:
    """A run to be done, and its evaluations.

    With `trained`, the stored model is evaluated and not trained again. `seen` is the revision of what the store had of the run when the job was
    made (None: nothing): as long as it has that, the job is still to be done. `sources` is the code that the run was planned with: a
    process with other code does not execute it. `label` is the run in words that no other run of its suite has. `keep_checkpoints` are the shares of
    the training after which the model is kept.
    """

    run: Run
    evaluations: tuple[EvaluationPlan, ...]
    trained: bool = False
    seen: str | None = None
    sources: Sources = field(default_factory=dict)
    label: str = field(default="", compare=False)
    keep_checkpoints: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.run.about)

    def rest(self, row: Mapping[str, Any] | None, evaluated: Collection[str]) -> Job | None:
        """What is still to do of it, as the store has the run's `row` and the ids of its evaluations.

        All, as long as the store has what it had; else what is missing, unless another process has seen the run fail.
        """
        state = run_state(row, evaluated, self.evaluations)
        if state.kind is Kind.MISSING:
            return replace(self, trained=False, seen=None)
        if state.revision == self.seen:
            return self
        return replace(self, evaluations=state.lacking, trained=True, seen=state.revision) if state.kind is Kind.UNEVALUATED else None
