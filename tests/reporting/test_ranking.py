"""Families of tests, tie groups and ranks, against statsmodels and by simulation."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.multitest import multipletests

from latentbench.reporting.ranking import adjusted, letters, rank_intervals
from latentbench.reporting.statistics import difference

METHODS = {"holm": "holm", "bh": "fdr_bh"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 10, 100])
def test_p_values_are_adjusted_as_by_statsmodels(method, n):
    """Some of them equal, some 0 or 1."""
    p = np.random.default_rng(n).beta(0.3, 1, n).round(2)
    assert adjusted(p.tolist(), method) == pytest.approx(multipletests(p, method=METHODS[method])[1])


@pytest.mark.parametrize("method", METHODS)
def test_tests_that_could_not_be_made_stay_out(method):
    found = adjusted([0.01, None, 0.03, None, 0.02], method)
    assert [found[1], found[3]] == [None, None]
    assert [found[0], found[2], found[4]] == pytest.approx(multipletests([0.01, 0.03, 0.02], method=METHODS[method])[1])
    assert adjusted([], method) == []
    assert adjusted([None], method) == [None]


@pytest.mark.parametrize("method", METHODS)
def test_tests_of_the_family_that_are_not_shown_count(method):
    p = [0.01, 0.03, 0.02]
    assert adjusted(p, method, 6) == pytest.approx(multipletests([*p, 1, 1, 1], method=METHODS[method])[1][:3])
    with pytest.raises(ValueError, match="3 tests in a family of 2"):
        adjusted(p, method, 2)


def relation(n, pairs):
    different = np.zeros((n, n), dtype=bool)
    for one, other in pairs:
        different[one, other] = different[other, one] = True
    return different


@pytest.mark.parametrize(
    ("n", "pairs", "expected"),
    [
        (1, [], ["a"]),
        (3, [], ["a", "a", "a"]),
        (3, [(0, 1), (0, 2), (1, 2)], ["a", "b", "c"]),
        (4, [(0, 2), (0, 3), (1, 3)], ["a", "ab", "bc", "c"]),
        (4, [(0, 3)], ["a", "ab", "ab", "b"]),
        (3, [(0, 1)], ["a", "b", "ab"]),  # no order: the last is like both
    ],
)
def test_letters_of_known_groups(n, pairs, expected):
    assert letters(relation(n, pairs)) == expected


def groups(text):
    return set(re.findall(r"[A-Za-z]\d*", text))


@given(arrays(bool, st.integers(1, 12).map(lambda n: (n, n))))
@settings(max_examples=300, deadline=None)
def test_rows_share_a_letter_if_and_only_if_they_are_not_told_apart(raw):
    different = np.triu(raw, 1) | np.triu(raw, 1).T
    texts = letters(different)
    for one in range(len(texts)):
        for other in range(len(texts)):
            assert bool(groups(texts[one]) & groups(texts[other])) == (one == other or not different[one, other])
    assert "a" in texts[0]
    assert all(len(set(members)) == len(members) for members in texts if not any(map(str.isdigit, members)))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=15), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_no_letter_is_superfluous_where_rows_are_told_apart_by_a_distance(means, distance):
    """Then the sets are runs of neighbours: no more than rows, none inside another."""
    means = np.sort(means)
    texts = letters(np.abs(means[:, None] - means[None]) > distance)
    members = [{row for row, text in enumerate(texts) if letter in groups(text)} for letter in set().union(*map(groups, texts))]
    assert not any(one < other for one in members for other in members)
    ends = {max(row for row in range(len(means)) if means[row] - low <= distance) for low in means}
    assert len(members) == len(ends)


def test_more_groups_than_letters():
    texts = letters(~np.eye(120, dtype=bool))
    assert texts[0] == "a"
    assert texts[25:28] == ["z", "A", "B"]
    assert texts[51:54] == ["Z", "a1", "b1"]
    assert len(set(texts)) == 120


def test_a_relation_without_order_has_few_letters():
    """Rows that differ from one partner each: insert-and-absorb would have 2^20 letters."""
    texts = letters(relation(40, [(row, row + 1) for row in range(0, 40, 2)]))
    assert len(set().union(*map(groups, texts))) <= 40 * 39 / 2


def test_rank_intervals_of_known_relations():
    beats = np.array([[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    assert rank_intervals(beats) == [(1, 2), (1, 3), (2, 4), (3, 4)]
    assert rank_intervals(np.zeros((3, 3), dtype=bool)) == [(1, 3)] * 3
    assert rank_intervals(np.triu(np.ones((3, 3), dtype=bool), 1)) == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("means", [(0, 0, 0, 0), (0, 0.5, 1, 1.5), (0, 0, 3, 3)])
def test_rank_intervals_have_all_true_ranks_at_once(means):
    """Holm at alpha = .1 over all pairs of four rows, five paired seeds: a true rank is missed in at most a tenth of the draws, but for 1e-6."""
    alpha, draws, rng = 0.1, 500, np.random.default_rng(5)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    missed = 0
    for _ in range(draws):
        rows = [dict(enumerate(mean + rng.normal(0, 1, 5))) for mean in means]
        found = [difference(rows[i], rows[j]) for i, j in pairs]
        beats = np.zeros((4, 4), dtype=bool)
        for (i, j), d, p in zip(pairs, found, adjusted([d.p for d in found]), strict=True):
            if p < alpha:
                beats[(i, j) if d.mean < 0 else (j, i)] = True
        ranks = [(1 + sum(m < mean for m in means), 4 - sum(m > mean for m in means)) for mean in means]
        missed += any(low > first or high < last for (low, high), (first, last) in zip(rank_intervals(beats), ranks, strict=True))
    assert stats.binom.sf(missed - 1, draws, alpha) > 1e-6
