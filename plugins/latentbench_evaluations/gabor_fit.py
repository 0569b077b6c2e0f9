"""`gabor_fit`: how many dictionary elements are Gabor functions, and which (the paper calls them "Gabor-like", Fig. 4)."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import torch
from pydantic import Field
from torch import Generator

from latentbench.api import Assembly, Evaluation, Measure, Metric, Options, Outcome, PerUnit, Trained, dictionary_of
from latentbench_evaluations.gabor import GaborFit, fit_gabor

CURVE = (0.5, 0.6, 0.7, 0.8, 0.9)


class GaborFitOptions(Options):
    """Options of `gabor_fit`."""

    threshold: float = Field(0.8, gt=0, lt=1, description="Share of an element's energy from which it counts as well fitted.")


class GaborFitting(Evaluation):
    """Gabor functions fitted to every element of the dictionary: `gabor_fraction` are well fitted, `gabor_r2` is the mean share explained.

    Of the well-fitted ones: `orientation_spread`, the circular variance of twice the angle (1 where all orientations are as frequent);
    `frequency_spread`, the standard deviation in octaves; `position_spread`, that of the centres in pixels; and the medians of frequency (cycles a
    pixel), `orientation_bandwidth` (half width at half height, degrees) and Ringach's (n_x, n_y). The share over several thresholds is
    `gabor_fraction_at`. Arrays: `parameters` [K, 9] of the fits, as `latentbench_evaluations.gabor.GaborFit` has them.
    """

    name = "gabor_fit"
    options_model = GaborFitOptions
    metrics = {
        "gabor_fraction": Measure("higher", "share of elements", "Dictionary elements that a Gabor function fits well."),
        "gabor_fraction_at": Measure(None, "share of elements", "Elements of which a Gabor function explains this share of energy.", "threshold"),
        "gabor_r2": Measure(None, "share of energy", "Energy of an element that its Gabor function explains."),
        "orientation_spread": Measure(None, "circular variance", "Spread of the orientations of well-fitted elements."),
        "frequency_spread": Measure(None, "octaves", "Standard deviation of the frequencies of well-fitted elements."),
        "position_spread": Measure(None, "pixels", "Standard deviation of the centres of well-fitted elements."),
        "frequency": Measure(None, "cycles per pixel", "Median frequency of well-fitted elements."),
        "orientation_bandwidth": Measure(None, "degrees", "Median half width at half height of well-fitted elements."),
        "n_x": Measure(None, "cycles", "Median width of the envelope across the grating (Ringach's n_x)."),
        "n_y": Measure(None, "cycles", "Median length of the envelope along the grating (Ringach's n_y)."),
    }

    def __init__(self, options: GaborFitOptions) -> None:
        self.threshold = options.threshold

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """A dictionary of images of one channel is needed."""
        if not assembly.linear_decoder:
            return f"it needs a linear decoder, and '{assembly.decoder.name}' is not"
        shape = assembly.data_shape
        one_channel = len(shape) == 3 and shape[0] == 1
        return None if one_channel else f"it needs images of one channel, and items of '{assembly.dataset.name}' have the shape {list(shape)}"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """Without data."""
        weight = dictionary_of(trained.model.decoder)[0].detach().double().cpu()  # [M, K]
        elements = weight.T.unflatten(1, trained.assembly.data_shape[1:]).numpy()
        fits = [fit_gabor(element) for element in elements]
        r2 = torch.tensor([fit.r2 for fit in fits], dtype=torch.float64)
        metrics = [Metric("gabor_fraction", float((r2 >= self.threshold).double().mean()), "dictionary", n=len(fits))]
        metrics += [
            Metric("gabor_fraction_at", float((r2 >= share).double().mean()), "dictionary", None, len(fits), "threshold", share) for share in CURVE
        ]
        metrics += [Metric.mean("gabor_r2", r2, "dictionary"), *spreads([fit for fit in fits if fit.r2 >= self.threshold])]
        parameters = torch.tensor([astuple(fit) for fit in fits], dtype=torch.float64)
        return Outcome(metrics, [PerUnit("gabor_r2", r2, "dictionary")], {"parameters": parameters})


def spreads(fits: list[GaborFit]) -> list[Metric]:
    """How the well-fitted elements spread, and their medians; nothing where there are none."""
    if not fits:
        return []
    angles, centres = np.array([fit.theta for fit in fits]), np.array([(fit.x, fit.y) for fit in fits])
    octaves = np.log2([fit.frequency for fit in fits])
    values = {
        "orientation_spread": 1 - abs(np.exp(2j * angles).mean()),
        "frequency_spread": octaves.std(),
        "position_spread": math.sqrt(centres.var(0).sum()),
        "frequency": np.median([fit.frequency for fit in fits]),
        "orientation_bandwidth": np.median([fit.orientation_bandwidth for fit in fits]),
        "n_x": np.median([fit.n_x for fit in fits]),
        "n_y": np.median([fit.n_y for fit in fits]),
    }
    return [Metric(name, float(value), "dictionary", n=len(fits)) for name, value in values.items()]
