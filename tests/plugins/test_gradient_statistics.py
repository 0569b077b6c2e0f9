"""Statistics of noisy gradients against the moments of the normal draws that they are given."""

import math

import pytest
import torch
from latentbench_evaluations.gradient_statistics import Draws, statistics

from latentbench.streams import stream

SIZE, N, REPEATS = 30, 60, 300
NOISE = torch.linspace(0.1, 1, SIZE, dtype=torch.float64)
HESSIAN = torch.diag(torch.linspace(-1, 2, SIZE, dtype=torch.float64)) + 0.1
CENTER = torch.linspace(1, 2, SIZE, dtype=torch.float64)


def drawn(bias, seed, keep=10, n=N):
    draws, generator = Draws(CENTER, keep), stream(seed, "gradients")
    for noise in torch.randn(n, SIZE, generator=generator, dtype=torch.float64):
        draws.add(CENTER + bias + NOISE * noise)
    return draws


@pytest.fixture(scope="module")
def repeated():
    """Statistics of 300 sets of draws, of an unbiased and of a biased estimator: name -> values and errors [300]."""

    def all_of(bias):
        rows = [dict(statistics(drawn(bias, seed, keep=N), 0.0, lambda v: HESSIAN @ v)) for seed in range(REPEATS)]
        return {name: torch.tensor([[row[name].value, row[name].error or 0.0] for row in rows], dtype=torch.float64).T for name in rows[0]}

    return {bias: all_of(torch.full((SIZE,), bias, dtype=torch.float64)) for bias in (0.0, 0.3)}


@pytest.mark.parametrize("bias", [0.0, 0.3])
def test_means_are_the_known_moments(repeated, bias):
    """Within five standard errors of the mean over 300 repetitions, which fails with probability 6e-7 a number."""
    shift, size, energy = torch.full((SIZE,), bias, dtype=torch.float64), CENTER.square().sum(), CENTER @ HESSIAN @ CENTER
    expected = {
        "bias": shift.square().sum() / size,
        "variance": NOISE.square().sum() / size,
        "bias_floor": NOISE.square().sum() / N / size,
        "noise_energy": (HESSIAN.diagonal() * NOISE.square()).sum() / energy,
        "bias_energy": shift @ HESSIAN @ shift / energy,
    }
    for name, goal in expected.items():
        values = repeated[bias][name][0]
        assert abs(float(values.mean() - goal)) < 5 * float(values.std()) / math.sqrt(REPEATS), name


@pytest.mark.parametrize("name", ["bias", "variance", "snr", "cosine", "noise_energy"])
def test_standard_errors_are_the_spread_over_repetitions(repeated, name):
    """Within a third; the spread of 300 is known to 4 %, and a jackknife of ten blocks overstates it somewhat."""
    values, errors = repeated[0.3][name]
    assert float(errors.square().mean().sqrt() / values.std()) == pytest.approx(1, rel=0.33)


def test_a_reference_s_own_error_is_taken_off_and_told():
    """A reference that is off by e looks like a bias of e: with its error known nothing is left of it, within what is told."""
    off = torch.zeros(SIZE, dtype=torch.float64)
    off[0] = 0.5
    found = dict(statistics(drawn(off, 1), 0.25, None))
    assert abs(found["bias"].value) < 4 * found["bias"].error
    assert found["bias"].error > dict(statistics(drawn(off, 1), 0.0, None))["bias"].error
    assert found["reference_error"].value == pytest.approx(0.25 / (float(CENTER.square().sum()) - 0.25))
    assert "noise_energy" not in found


def test_draws_without_noise_have_no_ratio_to_it():
    draws = Draws(CENTER)
    for _ in range(20):
        draws.add(2 * CENTER)
    found = dict(statistics(draws, 0.0, None))
    assert found["bias"].value == pytest.approx(1)
    assert found["variance"].value == pytest.approx(0, abs=1e-12)
    assert found["cosine"].value == found["mean_cosine"].value == pytest.approx(1)
    assert "snr" not in found


def test_a_gradient_below_its_error_says_nothing():
    assert list(statistics(drawn(0 * CENTER, 1), 2 * float(CENTER.square().sum()), None)) == []
