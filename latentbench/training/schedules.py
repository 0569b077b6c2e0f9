"""Learning rate, KL weight and temperature at every step (Poisson VAE, appendix C.3; the authors' code where it is silent).

All are plain functions of the step, so a run can resume at any step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from latentbench.suites.phase import Phase
from latentbench.suites.settings import Training

WARMUP_CLIP = 3.0
"""Factor of the limit on the gradient norm during the warm-up."""


@dataclass(frozen=True)
class Schedules:
    """The schedules of a run of `steps` steps; annealing phases are counted in steps."""

    training: Training
    beta: float
    steps: int
    steps_per_epoch: int

    def duration(self, phase: Phase) -> int:
        """The length of a phase in steps, rounded up."""
        return math.ceil(phase.in_steps(self.steps, self.steps_per_epoch))

    @property
    def warmup_steps(self) -> int:
        """Length of the warm-up; the last step of a run is never part of it."""
        return min(self.duration(self.training.warmup), self.steps - 1)

    def learning_rate(self, step: int) -> float:
        """Rises linearly from exactly 0, then falls along a cosine to its minimum, up and down again at every restart."""
        warmup, peak, low = self.warmup_steps, self.training.learning_rate, self.training.learning_rate_min
        if step < warmup:
            return peak * step / warmup
        if self.training.schedule == "constant":
            return peak
        half_waves = 2 * self.training.restarts + 1
        phase = half_waves * (step - warmup) / (self.steps - warmup)
        return low + (peak - low) * (1 + math.cos(math.pi * phase)) / 2

    def kl_weight(self, step: int) -> float:
        """beta_min for a while (not with a linear decoder), then linear up to beta with both ends included, then beta."""
        hold, anneal = self.training.beta_hold or Phase(0.0), self.training.beta_anneal
        start = self.duration(hold)
        # Where both are shares, the authors round their sum.
        ramp = self.duration(Phase(hold.amount + anneal.amount)) - start if hold.unit == anneal.unit == "run" else self.duration(anneal)
        if step < start:
            return self.training.beta_min
        if step >= start + ramp:
            return self.beta
        return _line(self.training.beta_min, self.beta, step - start, ramp)

    def temperature(self, step: int) -> float:
        """From start to stop, linear or exponential, then constant; 1 where the run has no temperature."""
        start, stop = self.training.temperature_start, self.training.temperature_stop
        if start is None or stop is None:
            return 1.0
        n = self.duration(self.training.temperature_portion)
        if step >= n:
            return stop
        if self.training.temperature_anneal == "linear":
            return _line(start, stop, step, n)
        # The authors' form: after n steps what is left of the distance start - stop is about stop / 100 of it.
        rate = -(n / (n - 1)) * math.log(stop / 100) if n > 1 else 0.0
        return stop + (start - stop) * math.exp(-rate * step / n)

    def temperature_is_final(self, step: int) -> bool:
        """Whether annealing is over."""
        return step >= self.duration(self.training.temperature_portion)

    def loss_is_settled(self, step: int) -> bool:
        """Whether the numbers that a loss depends on, KL weight and temperature, are those of the end."""
        last = self.steps - 1
        return (self.kl_weight(step), self.temperature(step)) == (self.kl_weight(last), self.temperature(last))

    def clip_norm(self, step: int) -> float | None:
        """Largest norm of the gradient at this step."""
        limit = self.training.grad_clip
        return None if limit is None else limit * WARMUP_CLIP if step < self.warmup_steps else limit


def _line(first: float, last: float, index: int, points: int) -> float:
    """Point `index` of `points` evenly spaced ones that include both ends."""
    return first + (last - first) * index / (points - 1) if points > 1 else first
