"""How many seeds it takes, against statsmodels and by simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from latentbench.reporting.power import more_seeds, noncentral_tail, power_to_agree, power_to_differ, power_to_exceed, seeds_needed
from latentbench.reporting.statistics import Sample, difference, t_test, welch


def pairs(mean, spread, n):
    return t_test(mean, (Sample(mean, spread**2, n, n - 1),))


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_pairs_take_as_many_seeds_as_statsmodels_says(effect, alpha):
    total = int(np.ceil(TTestPower().solve_power(effect, alpha=alpha, power=0.8)))
    assert seeds_needed(pairs(effect * 3, 3, 5), alpha) == max(0, total - 5)


@pytest.mark.parametrize("effect", [0.3, 1.0])
def test_sides_of_equal_spread_take_as_many_seeds_as_statsmodels_says(effect):
    total = int(np.ceil(TTestIndPower().solve_power(effect, alpha=0.01, power=0.8)))
    sides = (Sample(effect, 1.0, 5, 4), Sample(0.0, 1.0, 5, 4))
    assert seeds_needed(t_test(effect, sides), 0.01) == total - 5


def test_seeds_that_suffice_already():
    assert seeds_needed(difference({1: 1.0, 2: 2.1, 3: 3.0, 4: 4.1}, {1: 0.0, 2: 1.0, 3: 2.0, 4: 3.0}), 0.01) == 0
    assert seeds_needed(welch([1.0, 1.0], [2.0, 2.0]), 0.01) == 0


@pytest.mark.parametrize("mean", [0.0, 1e-4, -1e-4])
def test_absurd_numbers_of_seeds_are_none(mean):
    assert seeds_needed(pairs(mean, 1.0, 5), 0.01) is None


def test_the_largest_number_that_is_named():
    assert more_seeds(lambda more: float(more >= 10_000)) == 10_000
    assert more_seeds(lambda more: float(more >= 10_001)) is None
    assert more_seeds(lambda more: 1.0) == 0


@pytest.mark.parametrize("shift", [-40.0, -29.9, -3.0, 0.0, 3.0, 29.9, 30.1, 40.0])
@pytest.mark.parametrize("freedom", [1, 4, 50, 5000])
def test_the_tail_of_a_noncentral_t(shift, freedom):
    for t in (2.5, 4.6, abs(shift)):
        assert noncentral_tail(t, freedom, shift) == pytest.approx(stats.nct.sf(t, freedom, shift), abs=1e-4)
    assert noncentral_tail(2.5, np.inf, shift) == pytest.approx(stats.norm.sf(2.5 - shift), abs=1e-6)


DRAWS = 20_000


@pytest.mark.parametrize(("mean", "margin"), [(1.0, 2.0), (0.0, 1.5), (3.0, 1.0)])
def test_the_power_of_both_questions_is_what_simulation_finds(mean, margin):
    """Eight seeds a side, equal spread: within .02 of the share of 20,000 draws, whose error exceeds .017 with a probability below 1e-5."""
    rng, n = np.random.default_rng(6), 8
    one, other = rng.normal(mean, 1, (DRAWS, n)), rng.normal(0, 1, (DRAWS, n))
    found = one.mean(1) - other.mean(1)
    variances = one.var(1, ddof=1) / n, other.var(1, ddof=1) / n
    error = np.sqrt(sum(variances))
    freedom = sum(variances) ** 2 / sum(v**2 / (n - 1) for v in variances)
    sides = [Sample(mean, 1.0, n, n - 1), Sample(0.0, 1.0, n, n - 1)]
    agree = np.mean(np.abs(found) + stats.t.ppf(0.95, freedom) * error < margin)
    assert power_to_agree(mean, sides, margin, 0.9) == pytest.approx(agree, abs=0.02)
    exceed = np.mean(stats.t.sf((np.abs(found) - margin) / error, freedom) < 0.01)
    assert power_to_exceed(mean, sides, margin, 0.01) == pytest.approx(exceed, abs=0.02)
    differ = np.mean(2 * stats.t.sf(np.abs(found) / error, freedom) < 0.01)
    assert power_to_differ(mean, sides, 0.01) == pytest.approx(differ, abs=0.02)
