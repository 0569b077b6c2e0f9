"""The contract of evaluations: what is measured on a trained model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Generator

from latentbench.evaluation.outcome import Outcome
from latentbench.evaluation.trained import Trained
from latentbench.measure import Measure
from latentbench.part import Options, Part


class Evaluation(Part, ABC):
    """Base of all evaluations. `inapplicable` says what a run must have (labels, a linear decoder, a posterior)."""

    metrics: ClassVar[Mapping[str, Measure]] = {}
    """Every metric that it may return, with its direction, unit and meaning: leaderboards sort by them, and any other metric is refused."""
    reports_costs: ClassVar[bool] = False
    """Whether it also returns the costs that the family declares in its `measures`."""

    def __init__(self, options: Options) -> None:
        pass

    @abstractmethod
    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Measure. `generator` is this evaluation's own stream, on the CPU. Called once a run, after training, in eval mode.

        A metric that is not finite is a failure of the evaluation: leave out what is not defined, as a variance over one image.
        """
