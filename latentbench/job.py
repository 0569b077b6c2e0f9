"""What one process is asked to do: a run, and what is measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from latentbench.settings import Run, digest


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
    made (None: nothing): as long as it has that, the job is still to be done.
    """

    run: Run
    evaluations: tuple[EvaluationPlan, ...]
    trained: bool = False
    seen: str | None = None

    @property
    def about(self) -> str:
        """The run in a few words."""
        run = self.run
        networks = "|".join(name for name in (run.encoder, run.decoder) if name)
        return " ".join(word for word in (run.family, run.estimator, run.dataset, networks, f"seed {run.seed}") if word)
