"""`tuning`: a model's units as physiologists describe cells of primary visual cortex."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Generator, Tensor

from latentbench.api import Assembly, Evaluation, EvaluationOptions, Measure, Metric, Options, Outcome, PerUnit, Split, Splits, Trained, UserError
from latentbench_evaluations.gratings import HIGHEST, Screen
from latentbench_evaluations.receptive_fields import fits_of, triggered_average
from latentbench_evaluations.tuning_curves import harmonics, tuned

LIMITS = {"unit": (0.0, 1.0), "real": None}
"""Limits of pixels, by their kind; other kinds show no gratings."""
OF_CURVES = {
    "preferred_frequency": ("cycles per pixel", "Median spatial frequency that responsive units prefer"),
    "orientation_half_width": ("degrees", "Median half width of orientation tuning at 1/sqrt 2 of its height"),
    "frequency_width": ("octaves", "Median width of frequency tuning at 1/sqrt 2 of its height"),
    "circular_variance": ("0 to 1", "Median circular variance of orientation tuning, 0 for one orientation, 1 for all alike"),
}
"""Metrics of tuning curves: unit and meaning."""


class TuningOptions(EvaluationOptions):
    """Options of `tuning`."""

    orientations: int = Field(36, ge=4, le=180, description="Orientations of gratings, over half a turn.")
    frequencies: int = Field(16, ge=3, le=64, description="Spatial frequencies, from a cycle an image to .45 cycles a pixel.")
    phases: int = Field(32, ge=4, le=128, description="Phases of a cycle.")
    contrast: float = Field(1.0, gt=0, description="Standard deviation of stimuli, relative to that of the data's pixels.")
    threshold: float = Field(0.05, ge=0, lt=1, description="Peak response, relative to the model's largest, above which a unit is responsive.")
    noise_images: int = Field(20000, ge=100, description="Images of white noise for receptive fields.")
    gabor_threshold: float = Field(0.8, gt=0, lt=1, description="Share of a receptive field's energy from which it counts as a Gabor function.")


class Tuning(Evaluation):
    """Gratings of every orientation, frequency and phase, and white noise, shown to the model; responses are mean codes less those to a blank image.

    Units whose codes take both signs are rectified: each is taken for the one of two cells of opposite sign that likes what makes it positive.
    A drifting grating's response is F0, the mean over phases, or F1, the first harmonic, whichever is larger at the unit's best grating; a static
    one's (`static_`) that at the best phase. Stimuli have the mean and, times `contrast`, the standard deviation of the data's pixels, and are shown
    as the data are after their own preprocessing: whitening a grating would change its amplitude alone.

    Metrics are medians over responsive units that have the number. Units get it with not a number for the others. Arrays: `orientation_curves`
    [K, O] and `frequency_curves` [K, F] through the best drifting grating, `frequencies` [F], `receptive_fields` [K, H, W] and their Gabor fits,
    `fits` [K, 9].
    """

    name = "tuning"
    options_model = TuningOptions
    metrics = {
        "responsive_fraction": Measure(None, "share of units", "Units that respond to gratings."),
        "modulation_ratio": Measure(None, "ratio", "Median F1/F0 of responsive units: pi/2 of half-rectified linear ones, 0 of energy models."),
        "simple_fraction": Measure(None, "share of units", "Responsive units whose F1/F0 is above 1."),
        "orientation_concentration": Measure(None, "0 to 1", "Length of the mean of preferred orientations, as angles doubled: 0 for all alike."),
        **{name: Measure(None, unit, f"{meaning}.") for name, (unit, meaning) in OF_CURVES.items()},
        **{f"static_{name}": Measure(None, unit, f"{meaning}, static gratings.") for name, (unit, meaning) in OF_CURVES.items()},
        "field_gabor_fraction": Measure(None, "share of units", "Receptive fields, by reverse correlation, that a Gabor function fits well."),
        "field_gabor_r2": Measure(None, "share of energy", "Mean energy of a receptive field that its Gabor function explains."),
        "field_n_x": Measure(None, "cycles", "Median width of well-fitted receptive fields across their stripes (Ringach's n_x)."),
        "field_n_y": Measure(None, "cycles", "Median length of well-fitted receptive fields along their stripes (Ringach's n_y)."),
    }

    def __init__(self, options: TuningOptions) -> None:
        self.options, self.split = options, options.split

    @classmethod
    def inapplicable(cls, assembly: Assembly, options: Options) -> str | None:
        """Images of one channel are needed whose pixels can show a grating."""
        shape, dataset = assembly.data_shape, assembly.dataset
        if not (len(shape) == 3 and shape[0] == 1):
            return f"it shows gratings of one channel, and items of '{dataset.name}' have the shape {list(shape)}"
        if HIGHEST * max(shape) <= 1:
            return (
                f"it shows gratings of a cycle an image up to {HIGHEST} cycles per pixel, and items of '{dataset.name}' have the shape {list(shape)}"
            )
        return None if dataset.pixels in LIMITS else f"it shows gratings, and pixels of '{dataset.name}' are {dataset.pixels}"

    def evaluate(self, trained: Trained, generator: Generator) -> Outcome:
        """With stimuli like the images of one split.

        Raises:
            UserError: all pixels of the images have one value, so that stimuli of their standard deviation are blank.
        """
        o = self.options
        screen = Screen.like(trained.splits[self.split].images.cpu(), o.contrast, LIMITS[trained.assembly.dataset.pixels])
        if screen.deviation == 0:
            raise UserError(f"stimuli have the standard deviation of the {self.split} images' pixels, which all are {screen.mean:g}")
        frequencies = screen.frequencies(o.frequencies)
        f0, f1, best = self._shown(trained, screen, frequencies)
        units, arrays = measured(f0, f1, best, frequencies, o.threshold)
        metrics = [self._median(name, values) for name, values in units.items() if name not in ("response", "preferred_orientation")]
        metrics += self._shares(units)
        fields = triggered_average(lambda images: codes(trained, images), screen, o.noise_images, trained.batch_size, generator)
        fits, parameters = fits_of(fields)
        of_fields, more = self._of_fields(torch.tensor([[fit.r2, fit.n_x, fit.n_y] for fit in fits], dtype=torch.float64))
        arrays |= {"frequencies": frequencies, "receptive_fields": fields.float(), "fits": parameters}
        found = [metric for metric in (*metrics, *more) if metric is not None]
        return Outcome(found, [PerUnit(name, values, self.split) for name, values in {**units, **of_fields}.items()], arrays)

    def _shown(self, trained: Trained, screen: Screen, frequencies: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """F0, F1 and the response at the best phase, each [O, F, K]."""
        o = self.options
        blank = codes(trained, screen.blank()).double()
        phases = 2 * math.pi * torch.arange(o.phases, dtype=torch.float64) / o.phases
        angles = [math.pi * number / o.orientations for number in range(o.orientations)]
        shown = [codes(trained, screen.gratings(angle, frequencies, phases)) for angle in angles]
        signed = torch.stack([blank[0], *(raw.amin(0).double() for raw in shown)]).amin(0) < 0  # [K]
        found = []
        for raw in shown:
            less = (raw.double() - blank).unflatten(0, (len(frequencies), o.phases))
            responses = torch.where(signed, less.clamp(min=0), less)
            found.append(torch.stack([*harmonics(responses), responses.amax(1)]))
        f0, f1, best = torch.stack(found, 1)
        return f0, f1, best

    def _median(self, name: str, values: Tensor) -> Metric | None:
        told = values[~values.isnan()]
        return Metric(name, float(told.median()), self.split, n=len(told)) if len(told) else None

    def _shares(self, units: Mapping[str, Tensor]) -> list[Metric]:
        responsive, ratio = ~units["preferred_frequency"].isnan(), units["modulation_ratio"]
        told = ratio[~ratio.isnan()]
        metrics = [Metric.mean("responsive_fraction", responsive.double(), self.split)]
        if len(told):
            metrics.append(Metric.mean("simple_fraction", (told > 1).double(), self.split))
        if responsive.any():
            doubled = torch.deg2rad(2 * units["preferred_orientation"][responsive])
            metrics.append(
                Metric("orientation_concentration", float(torch.hypot(doubled.cos().mean(), doubled.sin().mean())), self.split, n=len(doubled))
            )
        return metrics

    def _of_fields(self, fits: Tensor) -> tuple[dict[str, Tensor], list[Metric | None]]:
        """Numbers of units and metrics, of r^2, n_x and n_y [K, 3]."""
        r2, well = fits[:, 0], fits[:, 0] >= self.options.gabor_threshold
        sizes = {name: fits[:, place].where(well, torch.nan) for place, name in ((1, "field_n_x"), (2, "field_n_y"))}
        shares = [Metric.mean("field_gabor_fraction", well.double(), self.split), Metric.mean("field_gabor_r2", r2, self.split)]
        return {"field_gabor_r2": r2, **sizes}, [*shares, *(self._median(name, values) for name, values in sizes.items())]


def codes(trained: Trained, images: Tensor) -> Tensor:
    """The mean codes [B, K] of images that are in no split, with the sampling noise of the run's seed where a family infers by sampling."""
    split = Split(images)
    return Trained(trained.model, Splits(split, split), trained.seed, trained.batch_size).codes("train").mean


def measured(f0: Tensor, f1: Tensor, best: Tensor, frequencies: Tensor, threshold: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Numbers of units [K] and tuning curves, from F0, F1 and responses at the best phase, each [O, F, K].

    Units whose peak is not above `threshold` of the largest have not a number; `response` is the peak of all.
    """
    mean, harmonic = (values.flatten(0, 1) for values in (f0, f1))
    curves = torch.where(harmonic.amax(0) > mean.amax(0), f1, f0)
    peak, place = curves.flatten(0, 1).max(0)
    responsive = (peak > threshold * peak.max()) & (peak > 0)
    at_peak = torch.arange(len(place))
    ratio = harmonic[place, at_peak] / mean[place, at_peak].where(mean[place, at_peak] > 0, torch.nan)
    units = {
        "modulation_ratio": ratio,
        **tuned(curves, frequencies),
        **{f"static_{name}": values for name, values in tuned(best, frequencies).items()},
    }
    units = {name: values.where(responsive, torch.nan) for name, values in units.items() if name != "static_preferred_orientation"}
    row, column = place // len(frequencies), place % len(frequencies)
    arrays = {"orientation_curves": curves[:, column, at_peak].T.float(), "frequency_curves": curves[row, :, at_peak].float()}
    return {"response": peak, **units}, arrays
