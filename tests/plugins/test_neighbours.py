"""Nearest neighbours of many draws, against scikit-learn one draw at a time, and against sorting where items are equally near."""

import numpy as np
import pytest
import torch
from latentbench_evaluations import neighbours
from latentbench_evaluations.neighbours import knn_accuracies
from sklearn.neighbors import KNeighborsClassifier


@pytest.fixture
def items():
    """Five classes that overlap, [400, 12] to draw from and [300, 12] to test."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(5, (700,), generator=generator)
    features = torch.randn(5, 12, generator=generator)[labels] + 2 * torch.randn(700, 12, generator=generator)
    return (features[:400], labels[:400]), (features[400:], labels[400:])


def draws_of(size, n, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(size, generator=generator)[:n] for _ in range(count)])


def one_by_one(pool, test, draws, k):
    """scikit-learn's accuracy of every draw."""
    (x, y), (test_x, test_y) = ((part[0].numpy(), part[1].numpy()) for part in (pool, test))
    return [float(KNeighborsClassifier(min(k, len(d)), algorithm="brute").fit(x[d], y[d]).score(test_x, test_y)) for d in draws.numpy()]


@pytest.mark.parametrize("k", [1, 5, 8])
def test_accuracies_are_scikit_learn_s_to_the_last_bit(items, k):
    draws = [draws_of(400, n, 9) for n in (3, 10, 50, 400)]
    found = knn_accuracies(*items, draws, k)
    assert [row.tolist() for row in found] == [one_by_one(*items, draw, k) for draw in draws]


def test_tested_items_go_in_parts_that_change_nothing(items, monkeypatch):
    draws = [draws_of(400, 20, 4)]
    whole = knn_accuracies(*items, draws, 5)
    monkeypatch.setattr(neighbours, "CHUNK", 400 * 7)
    assert torch.equal(knn_accuracies(*items, draws, 5)[0], whole[0])


def test_neighbours_that_lie_deep_are_found_one_by_one(items, monkeypatch):
    draws = [draws_of(400, 20, 4)]
    whole = knn_accuracies(*items, draws, 5)
    monkeypatch.setattr(neighbours, "_depth", lambda size, drawn, k: k)
    assert torch.equal(knn_accuracies(*items, draws, 5)[0], whole[0])


def test_of_equally_near_items_the_first_counts_and_of_equal_votes_the_smallest_label():
    """Counts from 0 to 2 in three dimensions: nearly all distances occur many times."""
    generator = torch.Generator().manual_seed(2)
    x, test_x = torch.randint(3, (60, 3), generator=generator), torch.randint(3, (40, 3), generator=generator)
    y, test_y = torch.randint(4, (60,), generator=generator), torch.randint(4, (40,), generator=generator)
    draws = draws_of(60, 15, 6)
    distances = ((test_x[:, None] - x[None]) ** 2).sum(2).numpy()
    expected = []
    for draw in draws.sort().values.numpy():
        nearest = y.numpy()[draw][np.argsort(distances[:, draw], axis=1, kind="stable")[:, :4]]
        expected.append(np.mean([np.bincount(votes).argmax() for votes in nearest] == test_y.numpy()))
    (found,) = knn_accuracies((x.float(), y), (test_x.float(), test_y), [draws], 4)
    assert found.tolist() == expected
    scaled, _ = knn_accuracies((0.1 * x, y), (0.1 * test_x, test_y), [draws, draws_of(60, 2, 3)], 4)  # rounded, and searched deeper
    assert scaled.tolist() == expected


def test_features_that_are_all_zero_have_the_first_as_neighbours():
    zeros, labels = torch.zeros(6, 2), torch.tensor([1, 1, 0, 0, 0, 0])
    (found,) = knn_accuracies((zeros, labels), (zeros, torch.ones(6, dtype=torch.int64)), [torch.tensor([[0, 1, 2, 3, 4, 5]])], 3)
    assert found.tolist() == [1.0]


def test_labels_that_no_item_to_draw_from_has_are_never_right(items):
    (x, y), (test_x, _) = items
    (found,) = knn_accuracies((x, y), (test_x, torch.full((300,), -1)), [draws_of(400, 20, 2)], 5)
    assert found.tolist() == [0.0, 0.0]
