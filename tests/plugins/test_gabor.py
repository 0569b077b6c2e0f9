"""Fits of Gabor functions: made ones are found again, noise is not one, and spreads are what they say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from latentbench_evaluations.gabor import GaborFit, _jacobian, _residuals, fit_gabor, gabor
from latentbench_evaluations.gabor_fit import spreads
from scipy.optimize import approx_fprime

ROWS, COLUMNS = np.mgrid[:16, :16].astype(float)


def made(rng):
    x, y = rng.uniform(5, 11, 2)
    widths = rng.uniform(1, 3), rng.uniform(1, 4), rng.uniform(0.1, 0.3)
    return GaborFit(x, y, rng.uniform(0, math.pi), *widths, *rng.normal(size=2), 1.0)


def test_the_jacobian_is_that_of_finite_differences():
    rng = np.random.default_rng(1)
    p = np.array([7.2, 8.1, 0.6, 0.3, 0.5, math.log(0.15), 0.4, -0.3])
    image = rng.normal(size=(16, 16))
    numeric = approx_fprime(p, lambda q: _residuals(q, image, COLUMNS, ROWS), 1e-7)
    assert np.abs(_jacobian(p, image, COLUMNS, ROWS) - numeric).max() < 1e-5


def test_a_gabor_function_is_found_again():
    """Nearly all of 20: one that is mostly outside the image, or of less than a cycle, may not be."""
    rng = np.random.default_rng(2)
    close = 0
    for _ in range(20):
        true = made(rng)
        image = gabor(true, COLUMNS, ROWS)
        fit = fit_gabor(image)
        assert fit.r2 > 0.95
        assert np.allclose(gabor(fit, COLUMNS, ROWS), image, atol=0.3 * np.abs(image).max())
        turned = abs((fit.theta - true.theta + math.pi / 2) % math.pi - math.pi / 2)
        close += (
            fit.r2 > 0.999 and turned < 0.05 and abs(fit.frequency / true.frequency - 1) < 0.05 and math.hypot(fit.x - true.x, fit.y - true.y) < 0.3
        )
    assert close >= 16


def test_noise_is_not_a_gabor_function():
    rng = np.random.default_rng(3)
    assert max(fit_gabor(rng.normal(size=(16, 16))).r2 for _ in range(10)) < 0.3
    assert fit_gabor(np.zeros((16, 16))).r2 == 0


def test_a_fit_does_not_depend_on_scale_or_sign():
    true = made(np.random.default_rng(4))
    image = gabor(true, COLUMNS, ROWS)
    one, other = fit_gabor(image), fit_gabor(-100 * image)
    assert other.r2 == pytest.approx(one.r2, abs=1e-6)
    assert other.cosine == pytest.approx(-100 * one.cosine, rel=0.01)


def test_the_orientation_bandwidth_is_where_the_response_is_half():
    """Against the response itself, the Fourier transform of the Gabor function on a fine and large grid."""
    fit = GaborFit(0, 0, 0, 3.0, 4.0, 0.2, 1, 0, 1)
    x, y = np.meshgrid(np.arange(-40, 40, 0.5), np.arange(-40, 40, 0.5))
    values = gabor(fit, x, y)

    def response(degrees):
        a = math.radians(degrees)
        return abs((values * np.exp(-2j * math.pi * fit.frequency * (x * math.cos(a) + y * math.sin(a)))).sum())

    assert response(fit.orientation_bandwidth) / response(0) == pytest.approx(0.5, abs=0.01)
    assert (fit.n_x, fit.n_y) == pytest.approx((0.6, 0.8))
    assert replace(fit, sigma_x=0.1, sigma_y=0.1).orientation_bandwidth == 90.0


def test_spreads_of_uniform_and_of_equal_orientations():
    base = GaborFit(8, 8, 0, 2, 2, 0.2, 1, 0, 1)
    uniform = [replace(base, theta=math.pi * k / 12, frequency=0.1 * 2 ** (k % 2), x=8.0 + k % 2) for k in range(12)]
    found = {m.name: m.value for m in spreads(uniform)}
    assert found["orientation_spread"] == pytest.approx(1)
    assert found["frequency_spread"] == pytest.approx(0.5)
    assert found["position_spread"] == pytest.approx(0.5)
    assert {m.name: m.value for m in spreads([base] * 5)}["orientation_spread"] == pytest.approx(0)
    assert spreads([]) == []
