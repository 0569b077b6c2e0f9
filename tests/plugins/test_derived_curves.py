"""Curves and resampling of derived metrics, against scipy, scikit-learn and closed forms."""

import numpy as np
import pytest
from latentbench_derived.curves import crossing, isotonic, sigmoid_at
from latentbench_derived.resampling import REPLICATES, Bounds, Resampling
from scipy import stats
from scipy.optimize import curve_fit


def test_isotonic_regression_is_scikit_learn_s():
    from sklearn.isotonic import IsotonicRegression

    y = np.random.default_rng(0).normal(size=(40, 7)).cumsum(1)
    expected = [IsotonicRegression().fit_transform(np.arange(7), row) for row in y]
    assert np.allclose(isotonic(y), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("log", [False, True])
def test_a_curve_crosses_where_linear_interpolation_does(log):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(size=(50, 6)).cumsum(1), rng.uniform(1, 2, size=(50, 6)).cumsum(1)
    target = x[:, 0] + rng.uniform(size=50) * (x[:, -1] - x[:, 0])
    found = crossing(x, y, target, log)
    expected = [np.interp(t, row, np.log(to) if log else to) for t, row, to in zip(target, x, y, strict=True)]
    assert np.allclose(found.low, np.exp(expected) if log else expected)
    assert np.array_equal(found.low, found.high)


@pytest.mark.parametrize(
    ("x", "y", "target", "bounds"),
    [
        ([1, 2, 3], [10, 20, 30], 3.5, (30, np.inf)),
        ([1, 2, 3], [10, 20, 30], 0.5, (0, 10)),
        ([1, 2, 3], [30, 20, 10], 3.5, (0, 10)),
        ([1, 2, 3], [30, 20, 10], 0.5, (30, np.inf)),
        ([1, 2, 3], [10, 20, 30], 1, (10, 10)),
        ([1, 2, 3], [10, 20, 30], 3, (30, 30)),
        ([1, 2, 2, 3], [10, 20, 25, 30], 2, (20, 20)),  # where it is first reached
    ],
)
def test_beyond_its_ends_a_curve_is_censored(x, y, target, bounds):
    found = crossing(np.array([x], float), np.array([y], float), np.array([target], float))
    assert (found.low[0], found.high[0]) == bounds


def test_the_sigmoid_is_scipy_s_least_squares_one():
    rng = np.random.default_rng(2)
    x = np.linspace(0, 10, 8)[None] + rng.normal(0, 0.05, size=(6, 8))

    def sigmoid(x, a, b, c, d):
        return a + (b - a) / (1 + np.exp(-(x - c) / d))

    y = sigmoid(x, 0.3, 1.0, 4.0, 1.5) + rng.normal(0, 0.01, size=x.shape)
    expected = [sigmoid(5.0, *curve_fit(sigmoid, a, b, [0.3, 1.0, 4.0, 1.5])[0]) for a, b in zip(x, y, strict=True)]
    assert np.allclose(sigmoid_at(x, y, np.full(6, 5.0)), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_the_interval_of_a_mean_over_seeds_is_student_s(n, confidence):
    """To the error of 4,000 replicates: 4 standard errors of a quantile are 11 % (99 %) and 7 % (95 %) of its distance."""
    values = np.random.default_rng(n).normal(10, 1, size=n)
    fields = Bounds.exactly(Resampling(confidence).seeds(range(n)) @ values).fields(confidence, n)
    low, high = stats.t.interval(confidence, n - 1, values.mean(), stats.sem(values))
    assert fields["value"] == pytest.approx(values.mean())
    assert [fields["low"], fields["high"]] == pytest.approx([low, high], abs=0.11 * (high - low) / 2)


def test_models_with_the_same_seeds_are_resampled_together_and_others_are_not():
    resampling = Resampling(0.99)
    assert resampling.seeds((1, 2, 3)) is resampling.seeds((1, 2, 3))
    correlation = np.corrcoef(resampling.seeds((1, 2, 3))[:, 0], resampling.seeds((1, 2, 4))[:, 0])[0, 1]
    assert abs(correlation) < 5 / REPLICATES**0.5
    assert np.allclose(resampling.seeds((1, 2, 3)).sum(1), 1)


BELOW, KNOWN, ABOVE = (0.0, 2.0), (4.0, 4.0), (8.0, np.inf)


@pytest.mark.parametrize(
    ("one", "other", "value", "censored"),
    [
        (KNOWN, KNOWN, 1.0, 0),
        (ABOVE, KNOWN, 2.0, 1),
        (BELOW, KNOWN, 0.5, -1),
        (KNOWN, ABOVE, 0.5, -1),
        (KNOWN, BELOW, 2.0, 1),
        (ABOVE, BELOW, 4.0, 1),
        (BELOW, ABOVE, 0.25, -1),
        (ABOVE, ABOVE, 0.0, 1),
        (BELOW, BELOW, 0.0, 1),
    ],
)
def test_a_ratio_is_censored_as_what_it_is_made_of(one, other, value, censored):
    bounds = [Bounds(*(np.array([end]) for end in ends)) for ends in (one, other)]
    fields = (bounds[0] / bounds[1]).fields(0.99, 1)
    assert (fields["value"], fields["censored"]) == (pytest.approx(value), censored)
