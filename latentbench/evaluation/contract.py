"""The contract of evaluations: what is measured on a trained model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Generator

from latentbench.evaluation.outcome import Outcome
from latentbench.evaluation.trained import Setting, Trained
from latentbench.measure import Measure
from latentbench.neutral import added
from latentbench.part import Assembly, Options, Part

SplitName = Literal["train", "validation", "test"]


class EvaluationOptions(Options):
    """Base of the options of evaluations that measure on data."""

    split: SplitName = added("validation", neutral="validation", description="The split that is measured.")


class Evaluation(Part, ABC):
    """Base of all evaluations. `inapplicable` says what a run must have (labels, a linear decoder, a posterior)."""

    metrics: ClassVar[Mapping[str, Measure]] = {}
    """Every metric that it may return, with its direction, unit and meaning: leaderboards sort by them, and any other metric is refused."""
    reports_costs: ClassVar[bool] = False
    """Whether it also returns the costs that the family declares in its `measures`."""

    def __init__(self, options: Options) -> None:
        pass

    @classmethod
    def splits(cls, options: Options) -> tuple[str, ...]:
        """The splits that it measures on; none where it needs no data."""
        return (options.split,) if isinstance(options, EvaluationOptions) else ()

    @classmethod
    def checkpoints(cls, options: Options) -> tuple[float, ...]:
        """The shares of the training after which it needs the model (`Trained.at`). The plan has them kept."""
        return ()

    @classmethod
    def builds(cls, options: Options) -> tuple[tuple[Setting, str] | tuple[Setting, str, Mapping[str, Any]], ...]:
        """The parts, by setting and name, that it builds for the model (`Trained.build`). Their versions are part of the measurement's identity.

        With the options of a part, where it is built for every run: then the plan checks them, and leaves out runs that the part does not apply to.
        """
        return ()

    @classmethod
    def left_out(cls, assembly: Assembly, options: Options) -> str | None:
        """Why a run cannot be measured (a short clause): its data set lacks a split, or the evaluation is `inapplicable`; None where it can."""
        if "test" in cls.splits(options) and not assembly.dataset.has_test:
            return f"it measures the test split, and '{assembly.dataset.name}' has none"
        return cls.inapplicable(assembly, options)

    @abstractmethod
    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Measure. `generator` is this evaluation's own stream, on the CPU. Called once a run, after training, in eval mode.

        A metric that is not finite is a failure of the evaluation: leave out what is not defined, as a variance over one image.
        """
