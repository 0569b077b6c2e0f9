"""Tuning of units whose answers are known: Gabor filters, energy models, and curves in closed form."""

import math

import numpy as np
import pytest
import torch
from latentbench_evaluations.gratings import Screen
from latentbench_evaluations.receptive_fields import fits_of, triggered_average
from latentbench_evaluations.tuning_curves import HEIGHT, circular_variance, crossings, harmonics, summit, tuned
from scipy.optimize import brentq
from scipy.special import ive

from latentbench.errors import UserError
from latentbench.evaluation.trained import Trained
from latentbench.files import cache_folder
from latentbench.models.codes import PointCode
from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

SIDE, SIGMA = 24, 3.0
UNITS = [(20.0, 0.12), (75.0, 0.17), (130.0, 0.22)]
"""Orientation of the wave vector in degrees, frequency in cycles per pixel."""
PHASES = 32


def gabor(degrees, frequency, phase=0.0):
    """A round Gabor function at the centre of the image, flat."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    u = columns * math.cos(math.radians(degrees)) + rows * math.sin(math.radians(degrees))
    g = np.exp(-0.5 * (rows**2 + columns**2) / SIGMA**2) * np.cos(2 * math.pi * frequency * u - phase)
    return torch.from_numpy(g).flatten().float()


EVEN = torch.stack([gabor(*unit) for unit in UNITS], 1)
ODD = torch.stack([gabor(*unit, math.pi / 2) for unit in UNITS], 1)


def rectified(images):
    return (images.flatten(1) @ EVEN).relu()


def energy(images):
    return (images.flatten(1) @ EVEN).square() + (images.flatten(1) @ ODD).square()


def linear(images):
    return images.flatten(1) @ EVEN


def partly_dead(images):
    return rectified(images) * torch.tensor([1.0, 0.0, 0.01])


@pytest.fixture(scope="module")
def measured(make_run, registry):
    """The evaluation of a model whose codes are a function of the image."""

    def measure(respond, **options):
        run = make_run(family="gaussian", dataset="sparse_synthetic", latent_dim=3, dataset_options__side=SIDE, dataset_options__train=50).run
        assembly = assemble(run, registry)
        model = build_model(assembly, run.seed, "cpu", torch.float32).eval()
        model.family.encode = lambda images, inference: PointCode(respond(images))
        model.family.costs = lambda *rest: {}
        part = registry.evaluation("tuning")
        given = {"orientations": 60, "frequencies": 24, "phases": PHASES, "noise_images": 100, **options}
        return part(part.options_model(**given)).evaluate(Trained(model, assembly.dataset.load(cache_folder()), run.seed), stream(1))

    return measure


@pytest.fixture(scope="module")
def of_rectified(measured):
    return measured(rectified)


@pytest.fixture(scope="module")
def of_energy(measured):
    return measured(energy)


def units(outcome):
    return {unit.name: unit.values.numpy() for unit in outcome.units}


def values(outcome):
    return {metric.name: metric.value for metric in outcome.metrics}


def concentrations(outcome):
    """4 pi^2 sigma^2 f f0 of every unit, with f the frequency of the grid at its best grating: the response at an angle a is cosh(that cos a)."""
    best = outcome.arrays["frequency_curves"].argmax(1)
    return 4 * math.pi**2 * SIGMA**2 * outcome.arrays["frequencies"][best].numpy() * np.array([frequency for _, frequency in UNITS])


@pytest.mark.parametrize("prefix", ["", "static_"])
@pytest.mark.parametrize("which", ["of_rectified", "of_energy"])
def test_preferred_orientation_and_frequency_are_those_of_the_filters(which, prefix, request):
    found = units(request.getfixturevalue(which))
    assert found["preferred_orientation"] == pytest.approx([degrees for degrees, _ in UNITS], abs=0.3)
    assert found[f"{prefix}preferred_frequency"] == pytest.approx([frequency for _, frequency in UNITS], rel=0.02)


def test_half_rectified_linear_units_have_the_modulation_ratio_half_pi(of_rectified):
    """F1 is a half and F0, sampled at P phases, cot(pi / P) / P of the amplitude, 1 / pi in the limit."""
    sampled = PHASES * math.tan(math.pi / PHASES) / 2
    assert units(of_rectified)["modulation_ratio"] == pytest.approx([sampled] * 3, rel=1e-3)  # the data's mean, so the blank image, is not quite 0
    assert sampled == pytest.approx(math.pi / 2, rel=0.004)
    assert values(of_rectified)["simple_fraction"] == 1


def test_energy_models_have_the_modulation_ratio_zero(of_energy):
    assert units(of_energy)["modulation_ratio"] == pytest.approx([0, 0, 0], abs=1e-3)
    assert values(of_energy)["simple_fraction"] == 0


def test_circular_variance_is_that_of_bessel_functions(of_rectified, of_energy):
    """Of cosh(k cos a) over all angles it is 1 - I_2(k) / I_0(k); squared responses of a quadrature pair are cosh(2 k cos a) + const / (...)."""
    k = concentrations(of_rectified)
    assert units(of_rectified)["circular_variance"] == pytest.approx(1 - ive(2, k) / ive(0, k), rel=0.01)
    k = concentrations(of_energy)
    assert units(of_energy)["circular_variance"] == pytest.approx(1 - ive(2, 2 * k) / ive(0, 2 * k), rel=0.01)


def test_half_widths_are_where_the_closed_form_crosses(of_rectified):
    k = concentrations(of_rectified)
    expected = np.degrees(np.arccos(np.arccosh(np.cosh(k) * HEIGHT) / k))
    assert units(of_rectified)["orientation_half_width"] == pytest.approx(expected, rel=0.02)


def test_frequency_widths_are_where_the_closed_form_crosses(of_rectified):
    """Along the best orientation the response is exp(-2 pi^2 sigma^2 (f - f0)^2) + exp(-2 pi^2 sigma^2 (f + f0)^2)."""
    for (_, frequency), found in zip(UNITS, units(of_rectified)["frequency_width"], strict=True):

        def excess(f, centre=frequency):
            response, peak = (sum(math.exp(-2 * (math.pi * SIGMA * (at + sign * centre)) ** 2) for sign in (-1, 1)) for at in (f, centre))
            return response - HEIGHT * peak

        ends = [brentq(excess, *side) for side in ((1e-3, frequency), (frequency, 0.5))]
        assert found == pytest.approx(math.log2(ends[1] / ends[0]), rel=0.05)


def test_units_of_both_signs_are_rectified_about_the_blank_image(measured):
    found = measured(linear)
    assert units(found)["modulation_ratio"] == pytest.approx([PHASES * math.tan(math.pi / PHASES) / 2] * 3, rel=1e-5)
    k = concentrations(found)
    assert units(found)["circular_variance"] == pytest.approx(1 - ive(2, k) / ive(0, k), rel=1e-3)


def test_units_that_hardly_respond_have_no_tuning(measured):
    outcome = measured(partly_dead, threshold=0.1, orientations=12, frequencies=6)
    found = units(outcome)
    assert np.isnan(found["preferred_orientation"]).tolist() == [False, True, True]
    assert np.isnan(found["modulation_ratio"]).tolist() == [False, True, True]
    assert found["response"][1] == 0
    assert values(outcome)["responsive_fraction"] == pytest.approx(1 / 3)


def test_units_that_respond_to_nothing_leave_their_metrics_out(measured):
    outcome = measured(lambda images: torch.zeros(len(images), 3), orientations=4, frequencies=3, phases=4)
    assert set(values(outcome)) == {"responsive_fraction", "field_gabor_fraction", "field_gabor_r2"}
    assert values(outcome)["responsive_fraction"] == 0


def test_responses_are_less_those_to_a_blank_image(measured, of_rectified):
    outcome = measured(lambda images: rectified(images) + 5)
    assert units(outcome)["modulation_ratio"] == pytest.approx(units(of_rectified)["modulation_ratio"], rel=1e-3)


def test_the_triggered_average_of_a_filter_is_the_filter():
    screen = Screen(SIDE, SIDE, 0.3, 2.0)
    fields = triggered_average(linear, screen, 40_000, 5000, stream(2))
    error = (fields.flatten(1).T - EVEN).norm(dim=0) / EVEN.norm(dim=0)
    assert error.max() < 1.2 * (SIDE**2 / 40_000) ** 0.5
    fits, parameters = fits_of(fields)
    assert parameters.shape == (3, 9)
    for fit, (degrees, frequency) in zip(fits, UNITS, strict=True):
        assert math.degrees(fit.theta) == pytest.approx(degrees, abs=1)
        assert fit.n_x == pytest.approx(SIGMA * frequency, rel=0.05)
        assert fit.n_y == pytest.approx(SIGMA * frequency, rel=0.05)


def test_that_of_an_exponential_unit_is_its_filter_times_its_mean_response():
    """Stein's lemma: E x f(w x) = sigma^2 w E f'(w x), and the exponential is its own derivative."""
    weights = 0.2 * EVEN / EVEN.norm(dim=0)
    screen = Screen(SIDE, SIDE, 0.0, 2.0)
    fields = triggered_average(lambda images: (images.flatten(1) @ weights).exp(), screen, 100_000, 10_000, stream(3))
    gain = (fields.flatten(1) * weights.T).sum(1) / weights.square().sum(0)
    assert gain.numpy() == pytest.approx([math.exp(0.5 * 0.4**2)] * 3, rel=0.03)


def test_energy_models_have_no_triggered_average(measured):
    assert values(measured(energy, noise_images=5000, orientations=4, frequencies=3))["field_gabor_r2"] < 0.2


def test_harmonics_are_those_of_the_fourier_transform():
    responses = torch.rand(5, 16, 3, generator=stream(4), dtype=torch.float64)
    f0, f1 = harmonics(responses)
    spectrum = np.fft.fft(responses.numpy(), axis=1) / 16
    assert f0.numpy() == pytest.approx(spectrum[:, 0].real)
    assert f1.numpy() == pytest.approx(2 * np.abs(spectrum[:, 1]))


@pytest.mark.parametrize(
    ("curve", "expected"),
    [(lambda a: a == 0, 0), (torch.ones_like, 1), (lambda a: 1 + torch.cos(2 * (a - 0.3)), 0.5), (lambda a: -torch.ones_like(a), None)],
)
def test_circular_variance_of_known_curves(curve, expected):
    angles = math.pi * torch.arange(36, dtype=torch.float64) / 36
    found = float(circular_variance(curve(angles).double()[:, None]))
    assert math.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-12)


def test_the_summit_of_a_parabola_is_exact_and_that_at_an_end_the_end():
    x = torch.arange(7, dtype=torch.float64)
    curves = torch.stack([9 - (x - 2.7) ** 2, x, 7 - x], 1)
    assert summit(curves, curves.argmax(0)).tolist() == pytest.approx([-0.3, 0, 0])


def test_widths_are_between_crossings_of_straight_lines_and_missing_on_a_side_without():
    x = torch.arange(11, dtype=torch.float64)
    triangle, ramp = (10 - 2 * (x - 5).abs()).clamp(min=0), x
    below, above = crossings(torch.stack([triangle, ramp], 1), torch.tensor([5, 10]))
    assert below.tolist() == pytest.approx([5 * (1 - HEIGHT), 10 * (1 - HEIGHT)])
    assert float(above[0]) == pytest.approx(5 * (1 - HEIGHT))
    assert math.isnan(float(above[1]))


def test_orientation_tuning_goes_round():
    """A peak at the first orientation has its sides at the second and the last."""
    curve = torch.zeros(8, 3, 1, dtype=torch.float64)
    curve[0, 1], curve[1, 1], curve[7, 1] = 1.0, 0.5, 0.5
    found = tuned(curve, torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64))
    assert float(found["orientation_half_width"]) == pytest.approx(22.5 * (1 - HEIGHT) / 0.5)
    assert float(found["preferred_orientation"]) == pytest.approx(0)
    assert float(found["preferred_frequency"]) == pytest.approx(0.2)


def test_gratings_have_the_mean_and_contrast_of_the_images():
    images = 3 + 2 * torch.randn(500, 1, 16, 16, generator=stream(5))
    screen = Screen.like(images, 0.5, None)
    grating = screen.gratings(0.0, torch.tensor([0.125]), torch.tensor([0.4]))
    assert grating.shape == (1, 1, 16, 16)
    assert float(grating.mean()) == pytest.approx(float(images.mean()), abs=1e-5)
    assert float(grating.std(correction=0)) == pytest.approx(0.5 * float(images.std()), rel=1e-3)
    assert torch.allclose(grating[0, 0, 0], grating[0, 0, 9])  # stripes along the columns
    noise = screen.noise(500, stream(6))
    assert float(noise.std()) == pytest.approx(0.5 * float(images.std()), rel=0.01)


def test_stimuli_stay_within_the_limits_of_pixels():
    images = torch.rand(100, 1, 8, 8, generator=stream(7)) * 0.3
    screen = Screen.like(images, 3.0, (0.0, 1.0))
    grating = screen.gratings(0.5, screen.frequencies(4), torch.tensor([0.0, 1.0]))
    assert 0 <= float(grating.min()) < float(grating.max()) <= 1
    assert float(grating.mean()) == pytest.approx(float(images.mean()), abs=0.03)
    noise = screen.noise(100, stream(8))
    assert (float(noise.min()), float(noise.max())) >= (0, 0)
    assert float(noise.max()) <= 1


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("digits_binary", {}, "it shows gratings, and pixels of 'digits_binary' are binary"),
        ("digits", {"flat": True}, "it shows gratings of one channel, and items of 'digits' have the shape [64]"),
        ("photo_patches", {"colour": True}, "it shows gratings of one channel, and items of 'photo_patches' have the shape [3, 16, 16]"),
        ("bars", {"size": 2}, "it shows gratings of a cycle an image up to 0.45 cycles per pixel, and items of 'bars' have the shape [1, 2, 2]"),
    ],
)
def test_data_that_cannot_show_gratings_are_refused(dataset, options, message, make_run, registry):
    run = make_run(dataset=dataset, **{f"dataset_options__{name}": value for name, value in options.items()}).run
    part = registry.evaluation("tuning")
    assert part.left_out(assemble(run, registry), part.options_model()) == message


def test_images_of_one_value_throughout_make_no_stimuli(make_run, registry):
    options = {"size": 4, "probability": 1e-9, "noise": 0.0, "train": 2, "validation": 2}
    run = make_run(family="gaussian", dataset="bars", **{f"dataset_options__{name}": value for name, value in options.items()}).run
    assembly = assemble(run, registry)
    trained = Trained(build_model(assembly, run.seed, "cpu", torch.float32).eval(), assembly.dataset.load(cache_folder()), run.seed)
    part = registry.evaluation("tuning")
    with pytest.raises(UserError, match="stimuli have the standard deviation of the validation images' pixels, which all are 0"):
        part(part.options_model()).evaluate(trained, stream(1))
