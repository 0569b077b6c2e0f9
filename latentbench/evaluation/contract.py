"""The contract of evaluations: what is measured on a trained model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Generator

from latentbench.evaluation.outcome import Outcome
from latentbench.evaluation.trained import Trained
from latentbench.part import Options, Part

Better = Literal["lower", "higher"]


class Evaluation(Part, ABC):
    """Base of all evaluations. `inapplicable` says what a run must have (labels, a linear decoder, a posterior)."""

    better: ClassVar[Mapping[str, Better]] = {}
    """Metric -> whether lower or higher is better, for the metrics where one is, another evaluation's included; leaderboards sort and mark by it, and
    a suite is refused whose leaderboard has a metric that only evaluations declare which it does not ask for."""

    def __init__(self, options: Options) -> None:
        pass

    @abstractmethod
    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Measure. `generator` is this evaluation's own stream, on the CPU. Called once a run, after training, in eval mode.

        A metric that is not finite is a failure of the evaluation: leave out what is not defined, as a variance over one image.
        """
