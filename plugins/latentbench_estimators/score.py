"""`score`: the score-function estimator, REINFORCE, with a constant, a running or a trained baseline."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from latentbench.api import Assembly, Estimator, Loss, Options, Step

Baseline = Literal["none", "running_mean", "trained"]


class ScoreOptions(Options):
    """Options of `score`."""

    baseline: Baseline = Field(
        "running_mean", description="What is subtracted from an image's cost: nothing, the mean of earlier batches, or a network's guess."
    )
    samples: int = Field(1, ge=1, description="Samples an image.")
    decay: float = Field(0.9, ge=0, lt=1, description="Weight of the past in running means.")
    hidden: int = Field(64, ge=1, description="Hidden units of the trained baseline.")


class Running(nn.Module):
    """Running mean and scale of costs, over earlier batches alone, so that a cost is independent of its own baseline.

    Before the first batch the mean is 0 and the scale 1. In eval mode nothing is updated.
    """

    first: Tensor
    second: Tensor
    weight: Tensor

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        for name in ("first", "second", "weight"):
            self.register_buffer(name, torch.zeros(()))

    @property
    def mean(self) -> Tensor:
        """The mean; a scalar, as the others."""
        return self.first / self._weight

    @property
    def scale(self) -> Tensor:
        """The standard deviation, at least 1 nat."""
        return (self.second / self._weight - self.mean.square()).clamp(min=1).sqrt()

    @property
    def started(self) -> Tensor:
        """1 after the first batch, 0 before it."""
        return (self.weight > 0).to(self.weight.dtype)

    @torch.no_grad()
    def update(self, cost: Tensor) -> None:
        """Take in the costs of a batch, of any shape."""
        if self.training:
            for buffer, value in ((self.first, cost.mean()), (self.second, cost.square().mean()), (self.weight, torch.ones_like(self.weight))):
                buffer.lerp_(value, 1 - self.decay)

    @property
    def _weight(self) -> Tensor:
        return self.weight.clamp(min=torch.finfo(self.weight.dtype).tiny)


class Guess(nn.Module):
    """A network of one hidden layer that guesses the cost of an image in units of its running scale; it begins with 0."""

    def __init__(self, pixels: int, hidden: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(pixels, hidden), nn.Linear(hidden, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, images: Tensor) -> Tensor:
        """The guess [B] at images [B, C, H, W]."""
        guess: Tensor = self.out(self.hidden(images.flatten(1)).tanh()).squeeze(1)
        return guess


class Score(Estimator):
    """The score-function estimator (Williams 1992, REINFORCE): grad E[c] = E[(c - b) grad ln q(z | x) + grad c], with the KL in closed form.

    A baseline b that does not depend on z leaves the mean as it is. `running_mean` is that of earlier batches; `trained` adds a network of the image,
    fitted to what the mean leaves by least squares (Mnih & Gregor 2014, section 2.3). It is unbiased for any family.
    """

    name = "score"
    options_model = ScoreOptions
    ignores = frozenset({"training.temperature_*"})

    def __init__(self, assembly: Assembly, options: Options) -> None:
        super().__init__(assembly, options)
        assert isinstance(options, ScoreOptions)
        self.samples = options.samples
        self.running = None if options.baseline == "none" else Running(options.decay)
        self.guess = Guess(torch.Size(assembly.data_shape).numel(), options.hidden) if options.baseline == "trained" else None

    @classmethod
    def ignored(cls, assembly: Assembly, options: Options) -> frozenset[str]:
        """Settings of a baseline that there is not."""
        assert isinstance(options, ScoreOptions)
        unread = {"none": {"decay", "hidden"}, "running_mean": {"hidden"}, "trained": set[str]()}[options.baseline]
        return cls.ignores | {f"estimator_options.{name}" for name in unread}

    def loss(self, step: Step) -> Loss:
        """The costs of true samples; backward, what they exceed the baseline by weighs the score."""
        z = step.sample(self.samples)  # [S, B, K]
        reconstruction, kl = step.reconstruction(z), step.kl()  # [S, B], [B]
        cost = reconstruction.detach()
        baseline, misfit = self._baseline(step.images, cost)
        surrogate = (reconstruction + (cost - baseline) * step.log_q(z)).mean(0) + step.beta * kl + misfit
        return Loss(surrogate.mean(), {"reconstruction": cost.mean(0), "kl": kl.detach()})

    def _baseline(self, images: Tensor, cost: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """The baseline of every image [B], without gradient, and the squared error that trains it [B]; costs are [S, B]."""
        if self.running is None:
            return 0.0, 0.0
        mean, scale, started = self.running.mean, self.running.scale, self.running.started
        self.running.update(cost)
        if self.guess is None:
            return mean, 0.0
        guess = self.guess(images)
        return mean + scale * guess.detach(), started * ((cost - mean) / scale - guess).square().mean(0)
