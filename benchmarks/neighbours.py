"""Nearest neighbours as the evaluation `knn` has them, 201 fits on 5,000 and 5,000 items, against scikit-learn fit by fit.

`python -m benchmarks.neighbours` prints these rows alone.
"""

from __future__ import annotations

import torch
from latentbench_evaluations.neighbours import knn_accuracies
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.harness import Row, measure, table
from latentbench.streams import stream

ITEMS, NEIGHBOURS, SIZES, DRAWS = 5000, 5, (200, 1000, 5000), 100
Items = tuple[Tensor, Tensor]


def rows(rounds: int) -> list[Row]:
    """Over the number of features. The accuracies of both sides are equal to the last bit, which is checked first."""
    found = []
    for features in (10, 100, 512):
        pool, test = made_items(features), made_items(features)
        draws = [_draws(size) for size in SIZES]
        for ours, theirs in zip(knn_accuracies(pool, test, draws, NEIGHBOURS), fit_by_fit(pool, test, draws), strict=True):
            assert ours.tolist() == theirs
        work = f"knn, 201 fits on 5,000 + 5,000 items, {features} features"

        def ours_(pool: Items = pool, test: Items = test, draws: list[Tensor] = draws) -> object:
            return knn_accuracies(pool, test, draws, NEIGHBOURS)

        def baseline(pool: Items = pool, test: Items = test, draws: list[Tensor] = draws) -> object:
            return fit_by_fit(pool, test, draws)

        found.append(measure(work, ours_, baseline, rounds, memory=True))
    return found


def fit_by_fit(pool: Items, test: Items, draws: list[Tensor]) -> list[list[float]]:
    """scikit-learn's accuracy of every draw."""
    (x, y), (test_x, test_y) = ((part[0].numpy(), part[1].numpy()) for part in (pool, test))

    def accuracy(draw: Tensor) -> float:
        chosen = draw.numpy()
        return float(KNeighborsClassifier(NEIGHBOURS, algorithm="brute").fit(x[chosen], y[chosen]).score(test_x, test_y))

    return [[accuracy(draw) for draw in of_size] for of_size in draws]


def made_items(features: int) -> Items:
    """Ten overlapping clusters: features [N, F] and labels [N]."""
    labels = torch.randint(10, (ITEMS,))
    centres = torch.randn(10, features, generator=torch.Generator().manual_seed(0))
    return centres[labels] + 3 * torch.randn(ITEMS, features), labels


def _draws(size: int) -> Tensor:
    count = DRAWS if size < ITEMS else 1
    return torch.stack([torch.randperm(ITEMS, generator=stream(0, "knn", "validation", draw))[:size] for draw in range(count)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with threadpool_limits(1):
        print(table(rows(3)))
