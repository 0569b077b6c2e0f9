"""The contract of studies: what is measured without a trained model, and stored as summaries beside those of runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from latentbench.measure import Measure
from latentbench.part import Options, Registered


@dataclass(frozen=True)
class Summary:
    """A value that a study has found.

    Args:
        metric: a name of the study's `metrics`.
        value: the mean over trials, or an exact number.
        settings: columns that describe runs and the values that this is about, as `family`, or `training` with a mapping.
        index: where the metric's measure has an index.
        interval: half the width of the 99 % interval; None of an exact number.
    """

    metric: str
    value: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    index: float | None = None
    interval: float | None = None


class Study(Registered, ABC):
    """Base of all studies. The first paragraph of its docstring says what it measures; `latentbench study NAME` runs it.

    A module of studies imports torch within its methods, so that other commands on stored results stay quick.
    """

    metrics: ClassVar[Mapping[str, Measure]]
    """Every metric that its pieces may give, with its direction, unit and meaning."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def pieces(self) -> Mapping[str, Callable[[], Iterable[Summary]]]:
        """What there is to measure: by a label that tells the user of it, the function that measures it.

        Called once. The functions are called in this order, but for those of pieces that an interrupted command has measured: what one gives depends
        on the options alone, among them the seed of all noise, and not on the others.

        Raises:
            UserError: the options contradict each other.
        """
