"""Many logistic regressions at once, against scikit-learn one after the other."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from latentbench.blocks import logistic
from latentbench.blocks.logistic import dichotomies, fit_dichotomies
from latentbench.streams import stream


def problem(n, k, classes=10, spread=1.0, dtype=torch.float64):
    generator = stream(1, n, k, classes)
    labels = torch.randint(classes, (n,), generator=generator)
    centres = torch.randn(classes, k, generator=generator, dtype=dtype)
    x = centres[labels] + torch.randn(n, k, generator=generator, dtype=dtype)
    return x * torch.logspace(0, math.log10(spread), k, dtype=dtype) - 2, labels


def largest_gradient(x, y, weights, intercept, c=1.0):
    """Of the mean logistic loss + |w|^2 / (2 C N), written out in numpy."""
    pull = -y / (1 + np.exp(y * (x @ weights + intercept)))
    return max(abs(pull @ x / len(x) + weights / (c * len(x))).max(), abs(pull.mean()))


@pytest.mark.parametrize(("n", "k", "spread"), [(300, 3, 1.0), (9000, 5, 1.0), (9000, 5, 30.0), (12_000, 60, 3.0)])
def test_every_task_is_solved_to_scikit_learn_s_tolerance(n, k, spread):
    x, labels = problem(n, k, spread=spread)
    table = dichotomies(10, stream(2))[::13]
    fit = fit_dichotomies(x, labels, table)
    for task, weights, intercept, left in zip(table, fit.weights, fit.intercepts, fit.gradients, strict=True):
        y = 2.0 * task[labels].numpy() - 1
        gradient = largest_gradient(x.numpy(), y, weights.numpy(), float(intercept))
        assert gradient <= 1e-4 * 1.01
        assert gradient == pytest.approx(float(left), abs=1e-9)


def test_more_features_than_any_part_has_rows_for_are_solved():
    x, labels = problem(4200, 220)  # 10 rows for each of 221 columns are more than half of all rows
    table = dichotomies(10, stream(2))[:1]
    fit = fit_dichotomies(x, labels, table)
    y = 2.0 * table[0][labels].numpy() - 1
    assert largest_gradient(x.numpy(), y, fit.weights[0].numpy(), float(fit.intercepts[0])) <= 1e-4 * 1.01


@pytest.mark.parametrize("c", [1.0, 0.01])
def test_tight_solutions_are_scikit_learn_s(c):
    x, labels = problem(5000, 4)
    table = dichotomies(10, stream(2))[:4]
    fit = fit_dichotomies(x, labels, table, c=c, tol=1e-10)
    for task, weights, intercept in zip(table, fit.weights, fit.intercepts, strict=True):
        reference = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(x.numpy(), task[labels].numpy())
        assert weights.numpy() == pytest.approx(reference.coef_[0], abs=1e-5)
        assert float(intercept) == pytest.approx(reference.intercept_[0], abs=1e-5)


def test_accuracies_are_within_4e_4_of_scikit_learn_s():
    (x, labels), (unseen, classes) = problem(20_000, 10, dtype=torch.float32), problem(10_000, 10, dtype=torch.float32)
    table = dichotomies(10, stream(2))
    accuracy = (fit_dichotomies(x, labels, table).decide(unseen) == table.T[classes]).double().mean(0)
    for index in range(0, 126, 25):
        reference = LogisticRegression().fit(x.numpy(), table[index][labels].numpy())
        assert abs(reference.score(unseen.numpy(), table[index][classes].numpy()) - float(accuracy[index])) <= 4e-4


def test_separable_classes_are_solved():
    x = torch.cat([torch.randn(500, 2, generator=stream(3)) + 20 * i for i in range(2)])
    labels = torch.arange(2).repeat_interleave(500)
    fit = fit_dichotomies(x, labels, dichotomies(2, stream(2)))
    assert (fit.decide(x)[:, 0] == dichotomies(2, stream(2))[0][labels]).all()
    assert float(fit.gradients.max()) <= 1e-4


def test_a_complement_has_the_opposite_weights():
    x, labels = problem(1000, 3)
    table = dichotomies(10, stream(2))[:1]
    one, other = fit_dichotomies(x, labels, table, tol=1e-9), fit_dichotomies(x, labels, ~table, tol=1e-9)
    assert torch.allclose(one.weights, -other.weights, atol=1e-6)
    assert torch.allclose(one.intercepts, -other.intercepts, atol=1e-6)


def test_the_memory_bound_changes_nothing_but_the_chunks(monkeypatch):
    x, labels = problem(3000, 3)
    table = dichotomies(10, stream(2))[:20]
    whole = fit_dichotomies(x, labels, table)
    calls = []
    original = logistic._solve
    monkeypatch.setattr(logistic, "_solve", lambda *a: calls.append(len(a[2])) or original(*a))
    parts = fit_dichotomies(x, labels, table, memory=6 * 8 * 3000 * 6)
    assert calls == [6, 6, 6, 2]
    assert torch.allclose(whole.weights, parts.weights, atol=1e-3)


@pytest.mark.parametrize(("classes", "count"), [(2, 1), (3, 3), (4, 3), (10, 126), (12, 252), (47, 252)])
def test_dichotomies_are_distinct_and_balanced(classes, count):
    table = dichotomies(classes, stream(4))
    assert table.shape == (count, classes)
    assert set(table.sum(1).tolist()) == {classes // 2}
    sets = {frozenset(row.nonzero().flatten().tolist()) for row in table}
    assert len(sets) == count
    if classes % 2 == 0:
        everything = frozenset(range(classes))
        assert not any(everything - one in sets for one in sets)
    assert torch.equal(table, dichotomies(classes, stream(4)))


def test_ten_classes_give_every_split_once():
    splits = {frozenset(c) for c in itertools.combinations(range(10), 5)}
    rows = {frozenset(row.nonzero().flatten().tolist()) for row in dichotomies(10, stream(4))}
    assert rows | {frozenset(range(10)) - row for row in rows} == splits


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [(torch.zeros(3), torch.zeros(3).long(), "expected features"), (torch.full((3, 1), math.nan), torch.zeros(3).long(), "finite")],
)
def test_bad_input(x, labels, message):
    with pytest.raises(ValueError, match=message):
        fit_dichotomies(x, labels, torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="at least two"):
        dichotomies(1, stream(1))
