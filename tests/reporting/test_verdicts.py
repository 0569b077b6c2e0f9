"""Verdicts of `latentbench verify`: closed forms, and their error rates by simulation."""

import numpy as np
import pytest
from scipy import stats

from latentbench.reporting.statistics import Sample
from latentbench.reporting.verdicts import Case, Published, Verdict, judge, p_beyond, prediction_interval
from latentbench.reporting.verdicts import _difference as difference_of

OURS = [41.6, 41.9, 41.5, 41.8, 41.7]
THEIRS = [41.7, 41.6, 41.8, 41.9, 41.5]


def verdict(ours, published, margin):
    return judge([Case(ours, published, margin)])[0].verdict


def seeds(values=THEIRS):
    return Published.of_seeds(values)


def test_the_welch_interval_decides_about_sameness():
    interval = stats.ttest_ind(OURS, THEIRS, equal_var=False).confidence_interval(0.9)
    reach = max(abs(interval.low), abs(interval.high))
    assert verdict(OURS, seeds(), 1.001 * reach) == Verdict.SAME
    assert verdict(OURS, seeds(), 0.999 * reach) == Verdict.CANNOT_TELL


def test_a_difference_is_tested_against_the_margin():
    case = Case([value + 3 for value in OURS], seeds(), 1.0)
    found = judge([case])[0]
    (first, second), error = (np.var(values, ddof=1) / 5 for values in (OURS, THEIRS)), 0
    error = (first + second) ** 0.5
    freedom = (first + second) ** 2 / (first**2 / 4 + second**2 / 4)
    assert found.verdict == Verdict.DIFFERENT
    assert found.p == pytest.approx(stats.t.sf(2 / error, freedom) + stats.t.sf(4 / error, freedom))
    assert found.difference.mean == pytest.approx(3)


def test_without_a_margin_the_p_value_is_that_of_welch():
    difference = difference_of(Case([value + 0.1 for value in OURS], seeds(), 1.0))
    expected = stats.ttest_ind([value + 0.1 for value in OURS], THEIRS, equal_var=False).pvalue
    assert p_beyond(difference, 0.0) == pytest.approx(expected)


def test_p_values_are_adjusted_over_the_suite():
    """A difference that alone is significant is not among a hundred others."""
    case = Case([value + 1.4 for value in OURS], seeds(), 1.0)
    alone = judge([case])[0]
    assert (alone.verdict, alone.adjusted) == (Verdict.DIFFERENT, alone.p)
    among = judge([case, *[Case(OURS, seeds(), 1.0)] * 99])[0]
    assert among.adjusted == pytest.approx(100 * alone.p)
    assert among.verdict == Verdict.CANNOT_TELL


def test_what_cannot_be_told_says_how_many_seeds_it_takes():
    near, between = judge([Case([40.0, 43.0], seeds(), 1.0), Case([42.5, 43.0], seeds(), 1.0)])
    assert (near.verdict, between.verdict) == (Verdict.CANNOT_TELL, Verdict.CANNOT_TELL)
    assert 1 <= near.more < 200
    assert between.more is None or between.more >= 1
    hopeless = judge([Case([39.7, 43.7], Published.of_value(41.7, 2.0), 0.5)])[0]
    assert (hopeless.verdict, hopeless.more) == (Verdict.CANNOT_TELL, None)  # the published bar is wider than the margin


@pytest.mark.parametrize(("shift", "expected"), [(0.99, Verdict.CONSISTENT), (1.01, Verdict.INCONSISTENT), (-1.01, Verdict.INCONSISTENT)])
def test_one_seed_is_compared_with_the_prediction_interval(shift, expected):
    allowed = stats.t.ppf(0.995, 4) * np.std(THEIRS, ddof=1) * (1 + 1 / 5) ** 0.5
    assert prediction_interval(seeds().sample) == pytest.approx(allowed)
    found = judge([Case([np.mean(THEIRS) + shift * allowed], seeds(), 0.001)])[0]
    assert (found.verdict, found.allowed) == (expected, pytest.approx(allowed))


@pytest.mark.parametrize(
    ("ours", "published", "expected"),
    [
        (0.94, Published.of_value(0.946, 0.017), Verdict.CONSISTENT),
        (0.92, Published.of_value(0.946, 0.017), Verdict.INCONSISTENT),
        (0.9287, Published.of_value(0.946, 0.017, 0.0005), Verdict.CONSISTENT),  # it may have been .9455
        (5.0, Published.of_value(5.0), Verdict.CANNOT_TELL),
        (0.03, Published.of_seeds([0.027] * 5), Verdict.CONSISTENT),  # inside the margin
        (0.05, Published.of_seeds([0.027] * 5), Verdict.INCONSISTENT),
    ],
)
def test_one_seed_and_what_else_was_published(ours, published, expected):
    assert verdict([ours], published, 0.02) == expected


def test_no_seed_was_not_run():
    assert verdict([], seeds(), 1.0) == Verdict.NOT_RUN


def test_a_bar_over_seeds_gives_their_spread_back():
    bar = stats.t.ppf(0.995, 4) * np.std(THEIRS, ddof=0) / 5**0.5
    found = Published.of_means(float(np.mean(THEIRS)), bar, 5)
    assert (found.sample.variance, found.sample.n, found.sample.freedom) == (pytest.approx(np.var(THEIRS, ddof=1)), 5, 4)
    assert found.seeds


def test_a_bar_of_one_value_is_its_99_percent_interval():
    found = Published.of_value(1.0, 0.2576)
    assert found.sample.of_mean**0.5 == pytest.approx(0.1, rel=1e-3)
    assert not found.seeds
    assert Published.of_value(1.0).sample == Sample(1.0, 0.0, 1, np.inf)


def test_rounding_counts_for_neither_side():
    """Values that are exact give a verdict at the margin; a published value that may be .05 off needs as much more."""
    ours, exact, rounded = [42.5, 42.5], Published.of_value(41.7), Published.of_value(41.7, rounding=0.05)
    assert (verdict(ours, exact, 0.83), verdict(ours, rounded, 0.83)) == (Verdict.SAME, Verdict.CANNOT_TELL)
    assert (verdict(ours, exact, 0.77), verdict(ours, rounded, 0.77)) == (Verdict.DIFFERENT, Verdict.CANNOT_TELL)
    assert (verdict(ours, rounded, 0.86), verdict(ours, rounded, 0.74)) == (Verdict.SAME, Verdict.DIFFERENT)


DRAWS = 1500
SPREADS = [(1.0, 1.0), (0.3, 1.0), (1.0, 0.0)]


def share(shift, margin, spreads, wanted, n=5, draws=DRAWS, seed=0):
    """How many of the draws have the verdict, where the true difference is `shift`."""
    rng = np.random.default_rng(seed)
    ours, theirs = rng.normal(shift, spreads[0], (draws, n)), rng.normal(0, spreads[1] or 1, (draws, 5))
    published = [Published.of_seeds(row) if spreads[1] else Published.of_value(0.0) for row in theirs]
    return sum(verdict(row, one, margin) == wanted for row, one in zip(ours, published, strict=True))


def at_most(hits, rate, draws=DRAWS, error=1e-6):
    """Whether so many hits are possible at that rate, but for a probability of `error`."""
    return stats.binom.sf(hits - 1, draws, rate) > error


@pytest.mark.parametrize("spreads", SPREADS)
def test_a_difference_as_large_as_the_margin_is_rarely_the_same(spreads):
    """At most 5 %, whatever the spreads; Welch's approximation may add a tenth of it."""
    assert at_most(share(2.0, 2.0, spreads, Verdict.SAME), 1.1 * 0.05)


@pytest.mark.parametrize("spreads", SPREADS)
@pytest.mark.parametrize("margin", [0.1, 2.0])
def test_a_difference_as_large_as_the_margin_is_rarely_different(spreads, margin):
    """At most 1 %; Welch's approximation may add a half of it with five seeds a side."""
    assert at_most(share(margin, margin, spreads, Verdict.DIFFERENT), 1.5 * 0.01)


def test_where_nothing_differs_verdicts_are_right():
    """With a margin of four standard deviations: no difference is *same* in at least .99 of the draws, twice the margin *different* in .9."""
    assert at_most(DRAWS - share(0.0, 4.0, (1.0, 1.0), Verdict.SAME), 0.01)
    assert share(0.0, 4.0, (1.0, 1.0), Verdict.DIFFERENT) == 0
    assert at_most(DRAWS - share(8.0, 4.0, (1.0, 1.0), Verdict.DIFFERENT), 0.1)


def test_one_seed_of_the_published_kind_is_rarely_inconsistent():
    """In 1 % of the draws, in both directions of the binomial bound, 1e-6."""
    rng = np.random.default_rng(7)
    theirs, ours = rng.normal(3, 2, (DRAWS, 5)), rng.normal(3, 2, DRAWS)
    hits = sum(verdict([x], Published.of_seeds(row), 0.1) == Verdict.INCONSISTENT for x, row in zip(ours, theirs, strict=True))
    low, high = stats.binom.ppf([5e-7, 1 - 5e-7], DRAWS, 0.01)
    assert low <= hits <= high


def test_a_suite_that_is_right_is_rarely_called_different():
    """Forty values whose true differences are all as large as their margins: one of them is called different in at most 1 % of the suites."""
    rng, suites, values = np.random.default_rng(8), 80, 40
    wrong = 0
    for _ in range(suites):
        ours, theirs = rng.normal(1, 1, (values, 5)), rng.normal(0, 1, (values, 5))
        cases = [Case(a, Published.of_seeds(b), 1.0) for a, b in zip(ours, theirs, strict=True)]
        wrong += any(found.verdict == Verdict.DIFFERENT for found in judge(cases))
    assert at_most(wrong, 0.01, suites)


def test_the_seeds_that_are_named_are_enough():
    """With as many, a value like the observed one is told in .8 of the draws: in at least .75 of these, but for 1e-6."""
    rng, draws, margin = np.random.default_rng(9), 1000, 1.5
    standard = np.array([-1.2, -0.6, 0.6, 1.2]) / np.std([-1.2, -0.6, 0.6, 1.2], ddof=1)
    published = Published.of_seeds(0.5 * standard)
    first = judge([Case(0.5 + standard, published, margin)])[0]
    assert first.verdict == Verdict.CANNOT_TELL
    assert 1 <= first.more < 50
    told = sum(verdict(rng.normal(0.5, 1, 4 + first.more), published, margin) == Verdict.SAME for _ in range(draws))
    assert at_most(draws - told, 0.25, draws)
