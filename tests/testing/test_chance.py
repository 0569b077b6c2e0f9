"""The kit's statistics: p-values under the law, in the bulk and far in the tail, and errors of the size that a comparison states."""

import numpy as np
import pytest
import torch
from scipy import stats

from latentbench.streams import stream
from latentbench.testing.chance import is_uniform, mean_is, means_are, same_means, without_skewness
from latentbench.testing.law import Effort

EFFORT = Effort()
MISSED = 1e-6
"""Probability that a test here fails by chance."""


def at_most(probability, trials):
    """What a binomial count exceeds with probability `MISSED`."""
    return stats.binom.isf(MISSED, trials, probability)


def normal(*size, name="normal"):
    return torch.randn(*size, dtype=torch.float64, generator=stream(0, name))


def uniform(*size, name="uniform"):
    return torch.rand(*size, dtype=torch.float64, generator=stream(0, name))


def poisson(*size, rate=0.05):
    return torch.poisson(torch.full(size, rate, dtype=torch.float64), generator=stream(0, "poisson"))


SKEWED = {
    "exponential": (lambda *size: -uniform(*size).log(), 1.0),
    "lognormal": (lambda *size: normal(*size).exp(), np.exp(0.5)),
    "poisson": (poisson, 0.05),
    "squared poisson": (lambda *size: (poisson(*size) - 0.05).square(), 0.05),
}


def p_values(trials):
    return np.array([trial.p for trial in trials])


def test_p_values_of_normal_means_are_uniform():
    p = p_values(means_are("mean", normal(300, 1000), torch.zeros(1000), EFFORT))
    assert stats.kstest(p, "uniform").pvalue > MISSED


def test_p_values_of_equal_normal_means_are_uniform():
    p = p_values(same_means("mean", normal(300, 1000), 3 * normal(400, 1000, name="right"), EFFORT))
    assert stats.kstest(p, "uniform").pvalue > MISSED


def test_p_values_of_uniform_numbers_are_uniform():
    p = np.array([is_uniform("u", column, EFFORT).p for column in uniform(600, 150)])
    assert stats.kstest(p, "uniform").pvalue > MISSED


@pytest.mark.parametrize("name", SKEWED)
def test_means_of_skewed_samples_are_rejected_no_more_often_than_stated(name):
    draw, mean = SKEWED[name]
    p = p_values(means_are("mean", draw(5000, 600), torch.tensor(mean), EFFORT))
    assert (p < 0.05).sum() <= at_most(0.05, 600)


@pytest.mark.parametrize("name", SKEWED)
def test_equal_means_of_skewed_samples_are_rejected_no_more_often_than_stated(name):
    """Few on one side, so that the skewness of the difference is that of the few."""
    draw, _ = SKEWED[name]
    values = draw(6000, 600)
    p = p_values(same_means("mean", values[:1000], values[1000:], EFFORT))
    assert (p < 0.05).sum() <= at_most(0.05, 600)


def on_a_grid(f, low, high):
    """The distribution of f(z) for a normal z: values and probabilities of 200 cells."""
    edges = np.linspace(low, high, 201)
    p = np.diff(stats.norm.cdf(edges))
    return f((edges[1:] + edges[:-1]) / 2), p / p.sum()


def counts_of(rate):
    k = np.arange(30)
    return k.astype(float), stats.poisson.pmf(k, rate)


TAILS = {
    "exponential": on_a_grid(lambda z: -stats.norm.logsf(z), -5, 7),
    "squared normal": on_a_grid(np.square, -7, 7),
    "lognormal": on_a_grid(np.exp, -5, 7),
    "poisson": counts_of(0.05),
    "squared poisson": (np.square(counts_of(0.05)[0] - 0.05), counts_of(0.05)[1]),
}


def false_alarm(values, p, samples, level, side, repetitions=1500):
    """Probability under the law of a rejection at `level` on one side, and its standard error.

    Samples are drawn of the distribution tilted by e^(theta y), whose mean is where a rejection begins, and weighted by the likelihood ratio.
    """
    centred = values - p @ values
    goal = side * stats.norm.isf(level / 2) * np.sqrt(p @ centred**2 / samples)
    low, high = (0.0, 1.0) if side > 0 else (-1.0, 0.0)
    for _ in range(60):
        theta = (low + high) / 2
        tilted = p * np.exp(theta * centred)
        low, high = (theta, high) if tilted @ centred / tilted.sum() < goal else (low, theta)
    drawn = np.random.default_rng(1).multinomial(samples, tilted / tilted.sum(), size=repetitions)  # [R, cells]: how often each value came
    weight = np.exp(samples * np.log(tilted.sum()) - theta * (drawn @ centred))
    mean, second = drawn @ centred / samples, drawn @ centred**2 / samples
    variance, third = second - mean**2, drawn @ centred**3 / samples - 3 * mean * second + 2 * mean**3
    error, skew = np.sqrt(variance / (samples - 1)), third / variance**1.5 / np.sqrt(samples)
    found = [
        mean_is("", *row, EFFORT, s).p for *row, s in zip(mean, error, np.zeros_like(mean), np.full(repetitions, samples - 1), skew, strict=True)
    ]
    alarm = weight * ((np.array(found) < level) & (np.sign(mean) == side))
    return alarm.mean(), alarm.std() / np.sqrt(repetitions)


@pytest.mark.parametrize(("samples", "level"), [(100_000, 1e-8), (20_000, 1e-6)])
@pytest.mark.parametrize("name", TAILS)
def test_far_in_the_tail_too_means_of_skewed_samples_are_rejected_no_more_often_than_stated(name, samples, level):
    left, right = (false_alarm(*TAILS[name], samples, level, side) for side in (-1, 1))
    assert left[0] + right[0] <= level + 5 * np.hypot(left[1], right[1])
    assert left[0] > 0.3 * level  # the tail was reached, and the test keeps its power


@pytest.mark.parametrize("t", [-7.0, -2.0, 0.5, 6.0])
def test_without_skewness_is_halls_transformation(t):
    """It is (3 / g) ((1 + g t / 3)^3 - 1) / 3 + g / 6, and t where there is no skewness."""
    for g in (-0.2, 0.05):
        assert without_skewness(t, g) == pytest.approx(((1 + g * t / 3) ** 3 - 1) / g + g / 6, abs=1e-12)
    assert without_skewness(t, 0.0) == t


def stated(trials, comparisons=1):
    return np.array([float(trial.resolution(comparisons).split(",")[0].removeprefix("a distance of ")) for trial in trials])


@pytest.mark.parametrize("comparisons", [1, 100])
def test_an_error_of_the_stated_size_is_found_with_the_stated_probability(comparisons):
    values, zero = normal(500, 2000), torch.zeros(2000)
    error = float(np.median(stated(means_are("mean", values, zero, EFFORT), comparisons)))
    for side in (1, -1):
        p = p_values(means_are("mean", values + side * error, zero, EFFORT))
        assert (p >= EFFORT.level / comparisons).sum() <= at_most(0.011, 2000)  # the error is stated to three digits


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("name", ["exponential", "poisson"])
def test_with_skewed_samples_an_error_of_the_stated_size_is_found_nearly_as_surely(name, side):
    draw, mean = SKEWED[name]
    values, goal = draw(20_000, 500), torch.tensor(mean)
    error = float(np.median(stated(means_are("mean", values, goal, EFFORT))))
    p = p_values(means_are("mean", values + side * error, goal, EFFORT))
    assert (p >= EFFORT.level).sum() <= at_most(0.03, 500)


def test_a_distribution_at_the_stated_distance_is_found_with_the_stated_probability():
    (distance,) = stated([is_uniform("u", uniform(800), EFFORT)])
    values = uniform(400, 800)
    near_zero = torch.where(uniform(400, 800, name="which") < distance, 1e-9 * values, values)
    missed = sum(is_uniform("u", row, EFFORT).p >= EFFORT.level for row in near_zero)
    assert missed <= at_most(0.01, 400)


def test_more_comparisons_find_larger_errors_alone():
    (trial,) = means_are("mean", normal(1000, 1), torch.zeros(1), EFFORT)
    assert stated([trial], 1000) > stated([trial], 1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_fail(bad):
    values = uniform(100, 2)
    values[3, 1] = bad
    good, broken = means_are("mean", values, torch.tensor([0.5, 0.5]), EFFORT)
    assert good.p > EFFORT.level
    assert broken.kept is False
    assert is_uniform("u", values[:, 1], EFFORT).kept is False


def test_an_expectation_that_is_not_finite_fails():
    (trial,) = means_are("mean", uniform(100, 1), torch.tensor([float("nan")]), EFFORT)
    assert trial.kept is False


@pytest.mark.parametrize(("expected", "kept"), [(2.0, True), (2.0 + 1e-10, True), (2.0 + 1e-8, False), (0.0, False)])
def test_values_that_do_not_vary_must_be_equal(expected, kept):
    (trial,) = means_are("mean", torch.full((100, 1), 2.0), torch.tensor([expected], dtype=torch.float64), EFFORT)
    assert trial.kept is kept
    assert trial.p is None


def test_equal_means_of_values_that_do_not_vary():
    ones = torch.ones(100, 1)
    assert [next(same_means("mean", ones, other, EFFORT)).kept for other in (ones, 2 * ones)] == [True, False]


def test_one_sample_is_none():
    assert next(means_are("mean", torch.ones(1, 1), torch.ones(1), EFFORT)).kept is False


def test_comparisons_name_their_place():
    trials = list(means_are("mean", normal(50, 2, 3), torch.zeros(2, 3), EFFORT))
    assert [trial.text.split(":")[0] for trial in trials] == [f"mean[{i}, {j}]" for i in range(2) for j in range(3)]
    assert next(means_are("mean", normal(50), torch.tensor(0.0), EFFORT)).text.startswith("mean: ")


def test_uniform_numbers_outside_the_unit_interval_are_found():
    assert is_uniform("u", uniform(500) + 0.3, EFFORT).p < EFFORT.level
