"""`inference_dynamics`: what steps of inference do to reconstruction and sparsity, step by step (Vafaii, Galor & Yates 2025)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, cast

import torch
from pydantic import Field
from torch import Generator, Tensor

from latentbench.api import (
    Assembly,
    Evaluation,
    EvaluationOptions,
    Inference,
    IterativeFamily,
    Measure,
    Metric,
    Options,
    Outcome,
    PerImage,
    Trained,
    stream,
)

EXPLAINED = "Variance of an image's pixels about their mean that a decoded sample explains."
CORNER = "sqrt((1 - R2)^2 + (1 - share of zeros)^2)."
FACTOR = 1.19
"""About what times grow by from one to the next, as in the published curves."""


class InferenceDynamicsOptions(EvaluationOptions):
    """Options of `inference_dynamics`."""

    steps: int | None = Field(None, gt=0, description="Steps of inference; null takes the family's evaluation_steps.")
    times: list[Annotated[int, Field(gt=0)]] | None = Field(
        None, min_length=1, description="Steps at which curves are measured; null takes the first ten and then about four for every doubling."
    )
    images: int | None = Field(2000, gt=0, description="Images of the split, evenly spaced; null takes all.")


@dataclass(frozen=True)
class At:
    """What a batch of B images is like after a step: R2 of a decoded sample [B], share of zeros in it [B], size of the step's update [B]."""

    r2: Tensor
    zeros: Tensor
    update: Tensor


class InferenceDynamics(Evaluation):
    """R2 of each image about its own pixel mean, share of zeros, and |u_t - u_{t-1}|, with true samples, at times t of one run of inference.

    `r2_per_image` and `distance_to_corner` are those after the last step; `r2_per_image_of_mean` decodes the location of the last posterior through
    the family's activation instead of a sample.
    """

    name = "inference_dynamics"
    options_model = InferenceDynamicsOptions
    metrics = {
        "r2_per_image": Measure("higher", "share of variance", EXPLAINED),
        "r2_per_image_of_mean": Measure("higher", "share of variance", "The same of the decoded mean of the code."),
        "distance_to_corner": Measure("lower", "none", CORNER),
        "distance_to_corner_of_mean": Measure("lower", "none", "The same with the R2 of the decoded mean."),
        "r2_per_image_at": Measure("higher", "share of variance", "The R2 of decoded samples after t steps of inference.", "t"),
        "zero_fraction_at": Measure(None, "share of samples", "Samples that are exactly 0 after t steps of inference.", "t"),
        "update_norm_at": Measure(None, "nats", "Norm of the update of the state in step t of inference.", "t"),
        "distance_to_corner_at": Measure("lower", "none", "Distance to the corner after t steps of inference.", "t"),
    }

    def __init__(self, options: InferenceDynamicsOptions) -> None:
        self.options, self.split = options, options.split

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Steps of inference are needed."""
        family = assembly.family
        return None if isinstance(family, type) and issubclass(family, IterativeFamily) else f"'{family.name}' does not infer in steps"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On one split."""
        noise = stream(trained.seed, "evaluation", "inference_dynamics", self.split, device=trained.model.device)
        images = self._chosen(trained.splits[self.split].images)
        curves: dict[int, list[At]] = defaultdict(list)
        of_mean: list[Tensor] = []
        with torch.no_grad():
            for batch in torch.split(images, trained.batch_size):
                self._follow(trained, batch.to(trained.model.device, trained.model.dtype), noise, curves, of_mean)
        return self._outcome({t: _joined(parts) for t, parts in curves.items()}, torch.cat(of_mean))

    def _follow(self, trained: Trained, images: Tensor, noise: Generator, curves: dict[int, list[At]], of_mean: list[Tensor]) -> None:
        """Infer a batch, and add what it is like at every time of the curves."""
        model, family = trained.model, cast("IterativeFamily", trained.model.family)
        steps = self.options.steps or family.evaluation_steps
        wanted, state = {*self._times(steps), steps}, family.state(family.prior(len(images)))
        inference = Inference(None, model.decoder, model.likelihood, noise)
        for t, iterate in enumerate(family.infer(images, inference, steps), 1):
            before, state = state, family.state(iterate.posterior)
            if t in wanted:
                z = family.activation(family.draw(iterate.posterior, inference))
                update = torch.linalg.vector_norm(state - before, dim=1)
                curves[t].append(At(r2(images, model.decode_mean(z)).cpu(), (z == 0).double().mean(1).cpu(), update.double().cpu()))
        of_mean.append(r2(images, model.decode_mean(family.activation(iterate.posterior.location))).cpu())

    def _outcome(self, curves: dict[int, At], of_mean: Tensor) -> Outcome:
        metrics = [metric.at("t", t) for t, at in curves.items() if t in self._times(max(curves)) for metric in _of_curve(at, self.split)]
        last = curves[max(curves)]
        metrics += [
            Metric.mean("r2_per_image", last.r2, self.split),
            Metric.mean("r2_per_image_of_mean", of_mean, self.split),
            Metric("distance_to_corner", _distance(last.r2, last.zeros), self.split, n=len(of_mean)),
            Metric("distance_to_corner_of_mean", _distance(of_mean, last.zeros), self.split, n=len(of_mean)),
        ]
        return Outcome(metrics, images=self._per_image(last))

    def _per_image(self, last: At) -> list[PerImage]:
        """The last R2 of every image, where all of the split's are measured."""
        return [PerImage("r2_per_image", last.r2, self.split)] if self.options.images is None else []

    def _times(self, steps: int) -> list[int]:
        return [t for t in self.options.times or list(_spaced(steps)) if t <= steps]

    def _chosen(self, images: Tensor) -> Tensor:
        n = min(self.options.images or len(images), len(images))
        return images[torch.linspace(0, len(images) - 1, n, dtype=torch.float64).round().long()]


def r2(images: Tensor, decoded: Tensor) -> Tensor:
    """1 - |x - decoded|^2 / |x - mean of x|^2 of each image [B], in float64; an image without contrast has 0."""
    x, y = images.flatten(1).double(), decoded.flatten(1).double()
    variation = (x - x.mean(1, keepdim=True)).square().sum(1)
    return torch.where(variation > 0, 1 - (x - y).square().sum(1) / variation, 0.0)


def _spaced(steps: int) -> Iterator[int]:
    """1, 2, ..., 10, then each time about 1.19 times the one before, and the last step."""
    t = 1
    while t < steps:
        yield t
        t = t + 1 if t < 10 else round(FACTOR * t)
    yield steps


def _of_curve(at: At, split: str) -> list[Metric]:
    means = [
        Metric.mean(f"{name}_at", values, split)
        for name, values in (("r2_per_image", at.r2), ("zero_fraction", at.zeros), ("update_norm", at.update))
    ]
    return [*means, Metric("distance_to_corner_at", _distance(at.r2, at.zeros), split, n=len(at.r2))]


def _distance(explained: Tensor, zeros: Tensor) -> float:
    return math.hypot(1 - float(explained.mean()), 1 - float(zeros.mean()))


def _joined(parts: list[At]) -> At:
    return At(*(torch.cat([getattr(part, name) for part in parts]) for name in ("r2", "zeros", "update")))
