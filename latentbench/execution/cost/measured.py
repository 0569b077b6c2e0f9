"""What was measured of a kind of run, and what its runs will take by it."""

from __future__ import annotations

from dataclasses import dataclass

from latentbench.suites.settings import Run
from latentbench.training.schedules import Schedules
from latentbench.training.train import plan_steps

POINTS = 1000
"""Steps of a run at which its temperature is looked up for the mean."""


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes of a kind of run.

    Args:
        images: training images, from which the number of steps follows.
        setup: seconds until the first step is done: data, model, what is compiled.
        start, end: median seconds of a step at the start and at the end of the training's schedules.
        timed: steps that these are medians of.
        evaluation: seconds of all evaluations; None where they cannot be measured, for the reason `problem`.
        share: of the images that evaluations were timed on; the rest is extrapolated.
        memory: the most bytes that the process had, what it shares with others included.
        device_memory: the most bytes of a GPU that it reserved; None on the CPU.
        capacity: all bytes of that GPU.
    """

    images: int
    setup: float
    start: float
    end: float
    timed: int
    evaluation: float | None
    share: float
    memory: int
    problem: str = ""
    device_memory: int | None = None
    capacity: int | None = None

    def step(self, run: Run) -> float:
        """Mean seconds of a step of a run."""
        weight = start_weight(run, self.images)
        return weight * self.start + (1 - weight) * self.end

    def training(self, run: Run) -> float:
        """Seconds of a run until it is trained, from the start of its process."""
        return self.setup + plan_steps(run.train_settings, self.images)[2] * self.step(run)

    @property
    def evaluated_only(self) -> float:
        """Seconds of a run that is trained already, and lacks evaluations: of all of them, as no single one was timed."""
        return self.setup + (self.evaluation or 0.0)

    def seconds(self, run: Run) -> float:
        """Seconds of a whole run; evaluations that could not be measured count nothing."""
        return self.training(run) + (self.evaluation or 0.0)


def start_weight(run: Run, images: int) -> float:
    """How much of a run costs what its start does, the rest what its end does.

    In between, cost is taken to be linear in the temperature; where that stays the same, it is taken to change evenly from start to end.
    """
    _, per_epoch, steps = plan_steps(run.train_settings, images)
    schedules = Schedules(run.train_settings, 1.0, steps, per_epoch)
    first, last = run.train_settings.temperature_start, run.train_settings.temperature_stop
    if first is None or last is None or first == last:
        return 0.5
    places = [round(point * (steps - 1) / (POINTS - 1)) for point in range(POINTS)]
    return sum((schedules.temperature(place) - last) / (first - last) for place in places) / POINTS
