"""`posterior_mean`: how active units are on average, which is what a code of spikes costs."""

from __future__ import annotations

from torch import Generator

from latentbench.api import Evaluation, EvaluationOptions, Measure, Metric, Outcome, PerImage, PerUnit, Trained


class PosteriorMean(Evaluation):
    """`posterior_mean`, the mean over images and units of E[z | x] in closed form: rates of `poisson`, E max(x, 0) of `gaussian+relu`.

    The same of every unit and of every image goes to `units` and to the arrays; the standard error is over images. It has the unit of the latents,
    so that counts compare with counts alone; where codes take both signs it says where they are centred, not how active they are.
    """

    name = "posterior_mean"
    metrics = {"posterior_mean": Measure(None, "units of the latents", "Mean of the code over images and units.")}
    options_model = EvaluationOptions

    def __init__(self, options: EvaluationOptions) -> None:
        self.split = options.split

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """On one split."""
        mean = trained.codes(self.split).mean.double()
        images = mean.mean(1)
        return Outcome(
            [Metric.mean("posterior_mean", images, self.split)],
            [PerUnit("posterior_mean", mean.mean(0), self.split)],
            images=[PerImage("posterior_mean", images, self.split)],
        )
