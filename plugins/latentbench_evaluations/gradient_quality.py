"""`gradient_quality`: the gradient microscope, an estimator's bias, variance and direction at checkpoints of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field, ValidationError, field_validator
from torch import Generator, Tensor

from latentbench.api import Assembly, Estimator, Evaluation, EvaluationOptions, Measure, Metric, Options, Outcome, Trained, UserError
from latentbench_evaluations.gradient_scene import At, Scene
from latentbench_evaluations.gradient_statistics import Draws, Value, statistics

COPIES = 10
"""Copies of the batch in one draw of a reference that has noise."""
GROUPS = {"encoder": "", "decoder": "_decoder", "prior": "_prior"}
"""Groups of parameters, and the endings of their metrics."""
MEANINGS = {
    "bias": ("lower", "share", "Squared bias over the squared gradient, without what the noise of the mean adds; may be negative."),
    "bias_floor": (None, "share", "What noise alone would add to the squared bias of the mean of all draws, which is taken off."),
    "reference_error": (None, "share", "Squared error of the gradient that is compared with, over its square; 0 where that is exact."),
    "variance": ("lower", "share", "Variance of one draw, summed over parameters, over the squared gradient."),
    "snr": ("higher", "ratio", "Squared gradient over the variance of one draw."),
    "cosine": ("higher", "-1 to 1", "Cosine of one draw with the gradient, mean over draws."),
    "mean_cosine": ("higher", "-1 to 1", "Cosine of the mean of all draws with the gradient."),
    "noise_energy": (None, "ratio", "Trace of Hessian times covariance, over g' H g; negative where the Hessian is not positive."),
    "bias_energy": (None, "ratio", "b' H b of the bias, over g' H g; negative where the Hessian is not positive."),
}


class GradientQualityOptions(EvaluationOptions):
    """Options of `gradient_quality`."""

    estimator: str = Field("rloo", description="The estimator that is measured.")
    estimator_options: dict[str, Any] = Field(default={}, description="Its options.")
    family_options: dict[str, Any] = Field(default={}, description="Options of the run's family that are changed for it, as another relaxation.")
    temperature: float = Field(0.05, gt=0, description="Temperature of relaxed samples.")
    beta: float = Field(1.0, ge=0, description="KL weight.")
    shares: list[float] = Field(default=[0.0, 0.1, 0.5, 1.0], min_length=1, description="Shares of the training.")
    images: int = Field(50, ge=1, description="Images of the fixed batch, evenly spaced in the split.")
    draws: int = Field(100, ge=20, description="Draws of the gradient.")
    references: list[str] = Field(
        default=["exact", "enumeration", "rloo"], min_length=1, description="Unbiased estimators, the first of which that applies is compared with."
    )
    reference_draws: int = Field(2000, ge=200, description="Draws of a reference that has noise.")
    energy_draws: int = Field(10, ge=2, description="Draws that the energy of the noise is taken of.")
    fit_steps: int = Field(200, ge=0, description="Steps that an estimator's own state, as a baseline, is trained on the batch.")
    timed: bool = Field(False, description="Whether the seconds of a draw are measured, which differ from time to time.")

    @field_validator("shares")
    @classmethod
    def _check_shares(cls, shares: list[float]) -> list[float]:
        if len(set(shares)) < len(shares):
            raise ValueError("a share is given twice")
        return shares


@dataclass(frozen=True)
class Reference:
    """The gradient that is compared with, by group, its squared errors, and the estimator itself where it has no noise."""

    gradients: Mapping[str, Tensor]
    errors: Mapping[str, float]
    exact: Estimator | None


class GradientQuality(Evaluation):
    """An estimator's gradient of the negative ELBO at stored models of a run, on one fixed batch: N draws against the exact gradient, or against the
    mean of many more draws of an unbiased estimator.

    All numbers are shares of the squared reference, computed in float64, for the encoder; those of decoder and prior end in `_decoder` and `_prior`.
    `gradient_cost` (with `timed`) is variance times seconds: the time to a given precision.
    """

    name = "gradient_quality"
    options_model = GradientQualityOptions
    metrics = {
        f"gradient_{name}{ending}": Measure(better, unit, meaning, "step")  # type: ignore[arg-type]  # the literals come from a table
        for name, (better, unit, meaning) in MEANINGS.items()
        for ending in GROUPS.values()
    } | {
        "gradient_seconds": Measure("lower", "seconds", "Of one draw of the gradient on the batch, median.", "step"),
        "gradient_cost": Measure("lower", "seconds", "Variance of the encoder's gradient times seconds of a draw.", "step"),
    }
    deviations = dict.fromkeys(("stream", "order", "split"), "with `timed` it returns seconds, which differ from time to time")

    def __init__(self, options: GradientQualityOptions) -> None:
        self.options = options

    @classmethod
    def checkpoints(cls, options: Options) -> tuple[float, ...]:
        """Those that the options name."""
        assert isinstance(options, GradientQualityOptions)
        return tuple(options.shares)

    @classmethod
    def builds(cls, options: Options) -> tuple[tuple[Any, ...], ...]:
        """The estimator with its options, and the references."""
        assert isinstance(options, GradientQualityOptions)
        others = tuple(("estimator", name) for name in options.references if name != options.estimator)
        return (("estimator", options.estimator, options.estimator_options), *others)

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A loss that estimators estimate is needed, and a family that takes the options that are changed."""
        assert isinstance(options, GradientQualityOptions)
        if assembly.encoder is None or not assembly.family.has_posterior:
            return f"it compares gradient estimators, and '{assembly.family.name}' is trained without one"
        own = assembly.options["family"]
        try:
            type(own).model_validate({**own.model_dump(), **options.family_options})
        except ValidationError as error:
            (problem, *_) = error.errors()
            return f"family_options: '{assembly.family.name}' refuses {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        return None

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """At every share of the training."""
        seed = int(torch.randint(2**62, (), generator=generator))
        return Outcome([metric for share in self.options.shares for metric in self._at(trained.at(share), share, seed)])

    def _at(self, trained: Trained, share: float, seed: int) -> list[Metric]:
        o, device = self.options, trained.model.device
        noise = Generator(device).manual_seed(seed)
        images = trained.splits[o.split].images
        chosen = torch.linspace(0, len(images) - 1, min(o.images, len(images)), dtype=torch.float64).round().long()
        scene = Scene.of(trained, images[chosen], share, noise, o.family_options, At(o.temperature, o.beta))
        estimator = self._built(trained, o.estimator, o.estimator_options)
        scene.fit(estimator, o.fit_steps)
        reference = self._reference(trained, scene)
        draws = {name: Draws(center, o.energy_draws) for name, center in reference.gradients.items()}
        seconds = [_draw(scene, estimator, draws) for _ in range(o.draws)]
        found = [metric for name in draws for metric in self._metrics(name, draws[name], reference, scene)]
        return [metric.at("step", trained.step_at(share)) for metric in (*found, *self._timed(found, seconds))]

    def _metrics(self, name: str, draws: Draws, reference: Reference, scene: Scene) -> Iterator[Metric]:
        curvature = None if reference.exact is None else scene.curvature(reference.exact, name)
        for what, value in statistics(draws, reference.errors[name], curvature):
            yield _metric(f"gradient_{what}{GROUPS[name]}", value, self.options.split)

    def _timed(self, found: list[Metric], seconds: list[float]) -> Iterator[Metric]:
        variance = next((metric.value for metric in found if metric.name == "gradient_variance"), None)
        if self.options.timed:
            middle = sorted(seconds)[len(seconds) // 2]
            yield Metric("gradient_seconds", middle, self.options.split)
            if variance is not None:
                yield Metric("gradient_cost", variance * middle, self.options.split)

    def _reference(self, trained: Trained, scene: Scene) -> Reference:
        estimator, before = self._applicable(trained), scene.noise.get_state()
        first = scene.gradients(estimator)
        if torch.equal(before, scene.noise.get_state()):  # equal draws would not do: rare counts are all 0 in many
            return Reference(first, dict.fromkeys(first, 0.0), estimator)
        draws = {name: Draws(torch.zeros_like(value)) for name, value in first.items()}
        for _ in range(self.options.reference_draws // COPIES):
            for name, value in scene.gradients(estimator, COPIES).items():
                draws[name].add(value)
        return Reference({n: d.mean for n, d in draws.items()}, {n: max(d.variance()[0], 0.0) / d.n for n, d in draws.items()}, None)

    def _applicable(self, trained: Trained) -> Estimator:
        reasons = []
        for name in self.options.references:
            try:
                return self._built(trained, name, {})
            except UserError as reason:
                reasons.append(str(reason))
        raise UserError(f"no reference applies: {'; '.join(reasons)}")

    @staticmethod
    def _built(trained: Trained, name: str, options: Mapping[str, Any]) -> Estimator:
        estimator = trained.build("estimator", name, options).double().eval()
        assert isinstance(estimator, Estimator)
        return estimator


def _draw(scene: Scene, estimator: Estimator, draws: Mapping[str, Draws]) -> float:
    """Take a draw into the sums of all groups; the seconds that the gradient took."""
    start = _now(scene.noise.device)
    found = scene.gradients(estimator)
    seconds = _now(scene.noise.device) - start
    for name, gradient in found.items():
        draws[name].add(gradient)
    return seconds


def _now(device: torch.device) -> float:
    """The seconds of a clock, read once the device has done what it was asked for: on a GPU a call returns before it has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _metric(name: str, value: Value, split: str) -> Metric:
    return Metric(name, value.value, split, value.error, value.n)
