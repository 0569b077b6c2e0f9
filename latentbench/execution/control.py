"""How the process around a run follows and stops it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from latentbench.engine import SAVE_EVERY


class InterruptedRunError(Exception):
    """A run was asked to stop; its training state is stored."""


@dataclass(frozen=True)
class Control:
    """What `execute` tells the process around it, and asks it.

    Args:
        report: called after every step with steps done and steps in all.
        stopping: asked after every step whether to store the state and stop.
        save_every: seconds between two savings of the training state.
        unstored: exceptions that the caller deals with, as it may try again; they are raised, and no failure is stored.
        began: called at the start with the columns of the run's row that say where and when it runs, in case this process cannot store them.
    """

    report: Callable[[int, int], None] = lambda step, steps: None
    stopping: Callable[[], bool] = lambda: False
    save_every: float = SAVE_EVERY
    unstored: tuple[type[BaseException], ...] = ()
    began: Callable[[Mapping[str, Any]], None] = lambda row: None


UNWATCHED = Control()
"""Nothing is reported, and nothing stops the run."""
