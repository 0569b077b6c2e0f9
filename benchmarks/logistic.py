"""252 logistic regressions of the shattering dimensionality, against scikit-learn's, one after the other."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from benchmarks.harness import Row, measure
from latentbench.blocks.logistic import dichotomies, fit_dichotomies

N = 60_000
SAMPLED = 9
"""How many of the 126 distinct tasks scikit-learn solves a round; its time is scaled to 252."""


def features(k: int, spread: float) -> tuple[Tensor, Tensor]:
    """Ten classes of Gaussian features [60000, k] of mean about -2, as log residuals have, whose scales span a factor of `spread`."""
    generator = torch.Generator().manual_seed(k)
    labels = torch.randint(10, (N,), generator=generator)
    centres = torch.randn(10, k, generator=generator) * (1.2 if k == 10 else 0.5)
    x = centres[labels] + torch.randn(N, k, generator=generator)
    scales = torch.logspace(-0.5, 0.5, k) ** torch.log10(torch.tensor(spread))
    return (x @ torch.linalg.qr(torch.randn(k, k, generator=generator))[0]) * scales - 2, labels


def one_by_one(tasks: list[tuple[Any, Any]]) -> None:
    """scikit-learn on each task (features, labels)."""
    for x, y in tasks:
        LogisticRegression().fit(x, y)


def rows(rounds: int) -> list[Row]:
    """Row 7: K = 10 and 100, on features whose scales span a decade, and on features of one scale, which are scikit-learn's easiest."""
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    table = dichotomies(10, torch.Generator())
    measured = []
    for k, gate, aim in ((10, 50, 118), (100, 8, 13)):
        for spread, name in ((10.0, "scales over a decade"), (1.0, "equal scales")):
            x, labels = features(k, spread)
            arrays = [(x.numpy(), table[task][labels].numpy()) for task in range(0, 126, 126 // SAMPLED)][:SAMPLED]
            measured.append(
                measure(
                    f"252 logistic regressions, N = 60000, K = {k}, {name}",
                    partial(fit_dichotomies, x, labels, table),
                    partial(one_by_one, arrays),
                    rounds,
                    gate if spread == 10 else None,
                    aim if spread == 10 else None,
                    scale=252 / SAMPLED,
                )
            )
    return measured
