"""Intervals and differences, against scipy and statsmodels, the authors' printed bars, and simulation."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from latentbench.reporting.statistics import Sample, difference, half_width, satterthwaite, welch

ONE = {1: 10.0, 2: 11.0, 3: 12.5, 4: 9.0, 5: 10.5}
OTHER = {1: 9.0, 2: 10.5, 3: 11.1, 4: 8.6, 5: 10.4}


def test_one_seed_has_no_interval():
    assert half_width(np.array([3.0])) is None
    assert half_width([3.0], kind="paper") is None


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_the_interval_is_statsmodels_at_every_confidence(confidence, n):
    values = np.random.default_rng(n).normal(3, 2, n)
    low, high = DescrStatsW(values).tconfint_mean(1 - confidence)
    assert half_width(values, confidence) == pytest.approx((high - low) / 2)


def test_the_paper_s_bar_of_five_seeds():
    values = np.array([1.0, 4.0, 2.0, 8.0, 3.0])
    assert half_width(values, kind="paper") == pytest.approx(4.604 * values.std(ddof=0) / 5**0.5, rel=1e-4)
    with pytest.raises(ValueError, match=r"a confidence of 0.99, not 0.95"):
        half_width(values, 0.95, "paper")


CELL = ["dataset", "family", "estimator", "covariance", "encoder"]


@pytest.fixture(scope="module")
def published(root):
    """Tables 2, 3 and 5 as printed, and the values of the authors' seeds by cell and metric."""
    folder = root / "results" / "published"
    runs = pd.read_parquet(folder / "runs")
    runs = runs[runs["source"].str.contains("tables 2")].merge(pd.read_parquet(folder / "metrics"), on="run_id")
    printed = {table: pd.read_parquet(folder / "summaries" / f"{table}.parquet") for table in ("table2", "table3", "table5")}
    for frame in (runs, *printed.values()):
        frame["covariance"] = [json.loads(options or "{}").get("covariance", "") for options in frame["estimator_options"]]
    return printed, {key: frame["value"].to_numpy() for key, frame in runs.groupby([*CELL, "metric"])}


@pytest.mark.parametrize(("table", "metric", "decimals", "cells"), [("table3", "active_fraction", 3, 18), ("table5", "nelbo", 1, 60)])
def test_the_printed_bars_of_tables_3_and_5(published, table, metric, decimals, cells):
    printed, seeds = published
    rows = [(seeds[(*(row[key] for key in CELL), metric)], row) for row in printed[table].to_dict("records")]
    assert [f"{half_width(values, kind='paper'):.{decimals}f}" for values, _ in rows] == [f"{row['interval']:.{decimals}f}" for _, row in rows]
    assert len(rows) == cells


def test_the_printed_bars_of_table_2(published):
    """Of the percentage that a method is worse than the best seed of any method."""
    printed, seeds = published
    bars, expected = [], []
    for row in printed["table2"].to_dict("records"):
        values = seeds[(*(row[key] for key in CELL), "nelbo")]
        same = (row["dataset"], row["family"], row["encoder"], "nelbo")
        best = min(others.min() for key, others in seeds.items() if (key[0], key[1], key[4], key[5]) == same)
        bars.append(f"{half_width(100 * (values - best) / best, kind='paper'):.1f}")
        expected.append(f"{row['interval']:.1f}")
    assert bars == expected
    assert len(bars) == 30


def test_pairs_are_tested_as_scipy_does():
    found = difference(ONE, OTHER, 0.95)
    scipy = stats.ttest_rel(list(ONE.values()), list(OTHER.values()))
    low, high = scipy.confidence_interval(0.95)
    assert (found.paired, found.n, found.freedom, found.left_out) == (True, 5, 4, 0)
    assert found.p == pytest.approx(scipy.pvalue)
    assert (found.mean - found.interval, found.mean + found.interval) == pytest.approx((low, high))
    assert found.correlation == pytest.approx(stats.pearsonr(list(ONE.values()), list(OTHER.values())).statistic)


def test_pairs_join_on_what_rows_share_whatever_the_order():
    one = {(1, "a"): 3.0, (2, "a"): 5.0, (3, "b"): 4.0, (4, "a"): 9.0}
    other = {(3, "b"): 4.5, (2, "a"): 4.0, (1, "a"): 2.5, (1, "b"): 7.0, (7, "a"): 1.0}
    found = difference(one, other)
    assert (found.n, found.left_out) == (3, 3)
    assert found.p == pytest.approx(stats.ttest_rel([3.0, 5.0, 4.0], [2.5, 4.0, 4.5]).pvalue)


@pytest.mark.parametrize(
    ("one", "other", "paired"),
    [
        (ONE, OTHER, False),
        (ONE, {6: 1.0, 7: 2.5}, True),
        ({1: 1.0, 2: 1.5, 3: 2.5}, {1: 2.0, 6: 2.5, 7: 6.0, 8: 1.0}, True),  # one pair is no pairing
    ],
)
def test_rows_that_cannot_be_paired_are_tested_by_welch(one, other, paired):
    found = difference(one, other, 0.9, paired)
    scipy = stats.ttest_ind(list(one.values()), list(other.values()), equal_var=False)
    low, high = scipy.confidence_interval(0.9)
    assert not found.paired
    assert found.correlation is None
    assert found.n == min(len(one), len(other))
    assert (found.p, found.freedom) == pytest.approx((scipy.pvalue, scipy.df))
    assert (found.mean - found.interval, found.mean + found.interval) == pytest.approx((low, high))
    low, high = CompareMeans(DescrStatsW(list(one.values())), DescrStatsW(list(other.values()))).tconfint_diff(0.1, usevar="unequal")
    assert found.interval == pytest.approx((high - low) / 2)


def test_two_pairs_have_one_degree_of_freedom_and_no_correlation():
    found = difference({1: 1.0, 2: 4.0}, {1: 0.5, 2: 2.0})
    assert (found.n, found.freedom, found.correlation) == (2, 1, None)
    assert found.p == pytest.approx(stats.ttest_rel([1.0, 4.0], [0.5, 2.0]).pvalue)


@pytest.mark.parametrize("paired", [True, False])
def test_a_side_with_one_seed_is_not_tested(paired):
    assert difference({1: 1.0}, {1: 2.0, 2: 3.0}, paired=paired) is None
    assert difference(ONE, {}, paired=paired) is None


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_differences_that_are_equal_but_for_rounding_have_no_spread(shift):
    one = {seed: 167.1 + seed / 10 + shift for seed in range(5)}
    other = {seed: 167.1 + seed / 10 for seed in range(5)}
    found = difference(one, other)
    assert found.without_spread
    assert (found.p, found.interval) == (float(shift == 0), 0.0)


def test_values_that_do_not_vary_have_no_correlation():
    found = difference({1: 1.0, 2: 1.0, 3: 1.0}, {1: 1.0, 2: 2.0, 3: 2.5})
    assert found.correlation is None
    assert 0 < found.p < 1
    assert welch([1.0, 1.0], [1.0, 1.0]).p == 1
    assert welch([1.0, 1.0], [2.0, 2.0]).p == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="must be finite"):
        difference({1: 1.0, 2: value}, {1: 1.0, 2: 2.0})
    with pytest.raises(ValueError, match="must be finite"):
        welch([1.0, value], [1.0, 2.0])


def test_a_side_of_known_variance_takes_no_degree_of_freedom():
    sides = Sample(0.0, 4.0, 5, 4), Sample(0.0, 0.3, 1, np.inf)
    assert satterthwaite(sides) == pytest.approx((0.8 + 0.3) ** 2 / (0.8**2 / 4))
    assert satterthwaite(sides[1:]) == np.inf


DRAWS = 4000


def within(hits, share, draws=DRAWS, error=1e-6):
    """Whether a count of hits is possible for their true share, but for a probability of `error`."""
    low, high = stats.binom.ppf([error / 2, 1 - error / 2], draws, share)
    return low <= hits <= high


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_intervals_cover_as_often_as_they_say(n, confidence):
    """False alarm: 1e-6 by the binomial bound."""
    values = np.random.default_rng(n).normal(7, 3, (DRAWS, n))
    assert within(sum(abs(row.mean() - 7) <= half_width(row, confidence) for row in values), confidence)


def test_the_paper_s_bar_covers_less_than_it_says():
    """With five seeds it is .894 of Student's interval, which covers .985: P(|t4| < 4.604 * .894)."""
    values = np.random.default_rng(1).normal(7, 3, (DRAWS, 5))
    covered = sum(abs(row.mean() - 7) <= half_width(row, kind="paper") for row in values)
    assert within(covered, 1 - 2 * stats.t.sf(4.604095 * 0.8**0.5, 4))


def test_the_paired_test_has_its_size_and_its_interval_covers():
    """Of correlated pairs whose means are equal. False alarm: 2e-6 by binomial bounds."""
    rng = np.random.default_rng(3)
    seeds = rng.normal(0, 2, (DRAWS, 5))
    one, other = seeds + rng.normal(0, 1, (DRAWS, 5)), seeds + rng.normal(0, 0.5, (DRAWS, 5))
    found = [difference(dict(enumerate(a)), dict(enumerate(b)), 0.95) for a, b in zip(one, other, strict=True)]
    assert within(sum(d.p < 0.01 for d in found), 0.01)
    assert within(sum(abs(d.mean) <= d.interval for d in found), 0.95)


@pytest.mark.parametrize("variances", [(1.0, 1.0), (1.0, 9.0), (4.0, 0.01)])
def test_welch_s_test_keeps_its_level(variances):
    """Five seeds a side. It is approximate: at most a fifth above .05 there, which simulation confirms but for 1e-6."""
    rng = np.random.default_rng(4)
    one, other = (rng.normal(0, v**0.5, (DRAWS, 5)) for v in variances)
    rejected = sum(welch(a, b).p < 0.05 for a, b in zip(one, other, strict=True))
    assert stats.binom.sf(rejected - 1, DRAWS, 1.2 * 0.05) > 1e-6
