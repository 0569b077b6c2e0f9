"""What a results folder has of a run: the one answer that planning, working, and reporting share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from latentbench.failure import Failure
from latentbench.suites.evaluation_plan import EvaluationPlan


class Kind(StrEnum):
    """Kinds of states."""

    DONE = "done"
    FAILED = "failed"
    MISSING = "missing"
    STALE = "stale"
    UNEVALUATED = "unevaluated"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class RunState:
    """The state of a run, compared with what is asked for.

    A run is `unevaluated` when it is trained and an evaluation is missing, `stale` when its code has changed since, and `interrupted` when only its
    training state is there.

    Args:
        kind: which of these.
        reasons: why, in clauses.
        failure: what its row tells of.
        trained: whether there is a trained model.
        other_code: whether that was trained by other code than there is now.
        lacking: the evaluations that are asked for and missing.
        outdated: those that were measured by other code.
        changed: what other code has made (the training, an evaluation, the saved state) -> the source files that have changed since.
        revision: which revision of the row and its evaluations this was; None where there is no row.
    """

    kind: Kind = Kind.MISSING
    reasons: tuple[str, ...] = ()
    failure: Failure | None = None
    trained: bool = False
    other_code: bool = False
    lacking: tuple[EvaluationPlan, ...] = ()
    outdated: tuple[EvaluationPlan, ...] = ()
    changed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} ({'; '.join(self.reasons)})" if self.reasons else str(self.kind)


MISSING = RunState()
"""The state of a run that nothing is stored of."""
