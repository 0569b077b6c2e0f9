"""Logistic regression of many binary labellings of one feature matrix, all at once.

For labels y = +-1 each task minimises scikit-learn's default objective, divided by C N as scikit-learn does,

    f(w, b) = mean_i ln(1 + exp(-y_i (w' x_i + b))) + |w|^2 / (2 C N),

with the intercept b unpenalised, until max |grad f| <= tol, scikit-learn's rule too. All tasks share the features, so that their margins and
gradients are two matrix products. Newton's method finds the solution on a part of the rows first; its Hessian then serves as that of all rows
(sub-sampled Newton, Erdogdu & Montanari 2015). Tasks whose gradient this does not shrink enough continue with exact Hessians.

The objective is strictly convex in the weights, so its minimum is unique: what is approximate is the rule for ending alone. In float32 a `tol` much
below 1e-6 of the features' size cannot be reached. Nothing is drawn but by `dichotomies`; results repeat bit for bit on one device with one number
of threads. Memory beside the features: a chunk of margins (`memory`), and P K^2 numbers for the Hessians of a chunk of P tasks.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor
from torch.nn.functional import softplus

ROWS_PER_FEATURE, LEAST_ROWS, LOOSE = (10, 60), 2000, 0.5
"""Rows for a feature in the parts on which the solution is sought first, one after the other."""
SHRINKAGE = 0.9
"""A step with a good Hessian shrinks the gradient at least so much."""
MAX_STEPS = 200


@dataclass(frozen=True)
class LogisticFit:
    """Solutions of P tasks: `weights` [P, K], `intercepts` [P], and the largest gradient component that was left of each, `gradients` [P]."""

    weights: Tensor
    intercepts: Tensor
    gradients: Tensor

    def decide(self, features: Tensor) -> Tensor:
        """Which rows of `features` [N, K] are on the positive side of each task [N, P]."""
        positive: Tensor = features @ self.weights.T + self.intercepts > 0
        return positive


def dichotomies(classes: int, generator: Generator, most: int = 252) -> Tensor:
    """Ways to divide classes into halves, each once: a dichotomy and its complement are the same task [P, classes], bool.

    All of them where there are at most `most` (126 for ten classes), else `most` distinct ones drawn with `generator`. With an odd number of
    classes one half has a class more.

    Raises:
        ValueError: there are fewer than two classes.
    """
    if classes < 2:
        raise ValueError(f"a dichotomy needs at least two classes, got {classes}")
    half = classes // 2
    count = math.comb(classes, half) // (2 if classes % 2 == 0 else 1)
    if count <= most:
        chosen = [c for c in itertools.combinations(range(classes), half) if classes % 2 or 0 in c]
    else:
        drawn: dict[tuple[int, ...], None] = {}
        while len(drawn) < most:
            half_of_them = set(torch.randperm(classes, generator=generator)[:half].tolist())
            if classes % 2 == 0 and 0 not in half_of_them:
                half_of_them = set(range(classes)) - half_of_them
            drawn[tuple(sorted(half_of_them))] = None
        chosen = list(drawn)
    table = torch.zeros(len(chosen), classes, dtype=torch.bool)
    for row, subset in zip(table, chosen, strict=True):
        row[list(subset)] = True
    return table


def fit_dichotomies(features: Tensor, labels: Tensor, table: Tensor, c: float = 1.0, tol: float = 1e-4, memory: int = 2**28) -> LogisticFit:
    """Solve one task for every row of `table`.

    Args:
        features: [N, K], float32 or float64; the solution has their precision, and is on their device.
        labels: classes [N], from 0; int64, on the features' device.
        table: [P, classes] bool, on the features' device; the positive classes of each task, as of `dichotomies`.
        c: inverse strength of the L2 penalty on the weights, as in scikit-learn.
        tol: largest component of the gradient of f at which a task is solved, as in scikit-learn.
        memory: bytes that margins and their temporaries may take (at least those of one task); tasks are solved in chunks that fit.

    Each Newton step costs O(P N K) for margins and gradients and O(P (n K^2 + K^3)) for Hessians on n rows, of which there are few: n is mostly a
    small part of N. On a CUDA device the host waits for every step.

    Returns:
        Weights and intercepts, and the gradients that were left, none of a component above `tol`.

    Raises:
        ValueError: shapes do not match, or features are not finite.
        RuntimeError: a task was not solved in 200 steps.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1] or table.ndim != 2 or int(labels.max()) >= table.shape[1]:
        raise ValueError(f"expected features [N, K], labels [N] and a table [P, classes], got {features.shape}, {labels.shape}, {table.shape}")
    if not bool(torch.isfinite(features).all()):
        raise ValueError("features must be finite")
    centre = features.mean(0)
    x = torch.cat([features - centre, torch.ones_like(features[:, :1])], dim=1)  # [N, K + 1]; centring leaves f as it is, and is better conditioned
    chunk = max(1, memory // (6 * x.element_size() * len(x)))
    parts = [_solve(x, labels, part, centre, c, tol) for part in table.split(chunk)]
    w, gradients = (torch.cat(part) for part in zip(*parts, strict=True))
    return LogisticFit(w[:, :-1], w[:, -1] - w[:, :-1] @ centre, gradients)


@dataclass(frozen=True)
class _Tasks:
    """P tasks over rows x [N, K + 1], whose last column is 1. `pull` [P, K + 1] is the mean over rows of t x, for labels t in {0, 1}."""

    x: Tensor
    pull: Tensor
    penalty: Tensor  # [K + 1]
    centre: Tensor  # [K]; x was centred at it

    def some(self, index: Tensor) -> _Tasks:
        return replace(self, pull=self.pull[index])

    def size(self, gradient: Tensor) -> Tensor:
        """The largest component [P] of a gradient [P, K + 1] for features that were not centred: of g_w + centre g_b, and g_b."""
        intercept = gradient[:, -1:]
        return torch.cat([gradient[:, :-1] + intercept * self.centre, intercept], dim=1).abs().amax(1)

    def value(self, w: Tensor) -> Tensor:
        """f [P] at weights w [P, K + 1]: the mean of ln(1 + exp(m)) - t m over margins m, + the penalty."""
        margins = w @ self.x.T  # [P, N]
        value: Tensor = softplus(margins).mean(1) - (w * self.pull).sum(1) + 0.5 * (self.penalty * w.square()).sum(1)
        return value

    def gradient(self, w: Tensor) -> Tensor:
        """grad f [P, K + 1]: the mean of (sigmoid(m) - t) x, + the penalty's."""
        gradient: Tensor = (w @ self.x.T).sigmoid_() @ self.x / len(self.x) - self.pull + self.penalty * w
        return gradient

    def factors(self, w: Tensor) -> Tensor:
        """Cholesky factors of the Hessians, the mean of s (1 - s) x x' + the penalty's [P, K + 1, K + 1]."""
        s = (w @ self.x.T).sigmoid_()
        curvature = s.addcmul_(s, s, value=-1)  # [P, N]
        hessians = torch.stack([(self.x * row.unsqueeze(1)).T @ self.x for row in curvature]) / len(self.x)
        ridge = torch.finfo(w.dtype).eps * hessians.diagonal(dim1=1, dim2=2).mean(1)  # rounding must not make them indefinite
        factors: Tensor = torch.linalg.cholesky(hessians + torch.diag_embed(self.penalty + ridge.unsqueeze(1)))
        return factors


def _tasks(x: Tensor, labels: Tensor, table: Tensor, penalty: Tensor, centre: Tensor) -> _Tasks:
    classes = x.new_zeros(table.shape[1], x.shape[1]).index_add_(0, labels, x)  # sums of the rows of each class
    return _Tasks(x, table.to(x.dtype) @ classes / len(x), penalty, centre)


def _solve(x: Tensor, labels: Tensor, table: Tensor, centre: Tensor, c: float, tol: float) -> tuple[Tensor, Tensor]:
    """Weights with the intercept last [P, K + 1], and what is left of the gradients [P]."""
    n, k = x.shape
    penalty = torch.full((k,), 1 / (c * n), dtype=x.dtype, device=x.device)
    penalty[-1] = 0
    tasks = _tasks(x, labels, table, penalty, centre)
    w = x.new_zeros(len(table), k)
    left = x.new_full((len(table),), math.inf)
    factors: Tensor | None = None  # many features leave no part that is small beside all rows
    for rows in sorted({max(LEAST_ROWS, per_feature * k) for per_feature in ROWS_PER_FEATURE}):
        if rows < n / 2:
            part = _tasks(*_spread(x, labels, rows), table, penalty, centre)
            # The part's solution is off by its sampling error of about 1 / sqrt(rows) anyway, so a looser tolerance does.
            w, _ = _newton(part, w, max(tol, LOOSE / math.sqrt(rows)))
            factors = part.factors(w)
    if factors is not None:
        w, left = _descend(tasks, w, tol, factors)
    going = (left > tol).nonzero().squeeze(1)
    if len(going):
        w[going], left[going] = _newton(tasks.some(going), w[going], tol)
    if bool((left > tol).any()):
        raise RuntimeError(f"{int((left > tol).sum())} of {len(table)} logistic regressions were not solved in {MAX_STEPS} steps")
    return w, left


def _spread(x: Tensor, labels: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Evenly spaced rows."""
    part = torch.linspace(0, len(x) - 1, rows, device=x.device, dtype=torch.float64).round().long()
    return x[part], labels[part]


def _descend(tasks: _Tasks, w: Tensor, tol: float, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Newton steps with fixed Hessians, while they shrink a task's gradient."""
    w = w.clone()
    g = tasks.gradient(w)
    left = tasks.size(g)
    going = (left > tol).nonzero().squeeze(1)
    for _ in range(MAX_STEPS):
        if not len(going):
            break
        there = w[going] - torch.cholesky_solve(g[going].unsqueeze(2), factors[going]).squeeze(2)
        gradient = tasks.some(going).gradient(there)
        size = tasks.size(gradient)
        better = size < SHRINKAGE * left[going]
        moved = going[better]
        w[moved], g[moved], left[moved] = there[better], gradient[better], size[better]
        going = moved[left[moved] > tol]
    return w, left


def _newton(tasks: _Tasks, w: Tensor, tol: float) -> tuple[Tensor, Tensor]:
    """Newton's method with backtracking."""
    w = w.clone()
    left = tasks.size(tasks.gradient(w))
    for _ in range(MAX_STEPS):
        going = (left > tol).nonzero().squeeze(1)
        if not len(going):
            break
        some, here = tasks.some(going), w[going]
        g = some.gradient(here)
        direction = torch.cholesky_solve(g.unsqueeze(2), some.factors(here)).squeeze(2)
        w[going] = here - _step_lengths(some, here, g, direction).unsqueeze(1) * direction
        left[going] = tasks.size(some.gradient(w[going]))
    return w, left


def _step_lengths(tasks: _Tasks, w: Tensor, g: Tensor, direction: Tensor) -> Tensor:
    """1, halved for a task until its objective falls (Armijo's rule, up to rounding) [P]."""
    start = tasks.value(w)
    slack = 16 * torch.finfo(w.dtype).eps * (start.abs() + (w * tasks.pull).sum(1).abs())
    slope = (g * direction).sum(1)
    length = torch.ones_like(start)
    for _ in range(30):
        rises = tasks.value(w - length.unsqueeze(1) * direction) > start - 1e-4 * length * slope + slack
        if not bool(rises.any()):
            break
        length = torch.where(rises, length / 2, length)
    return length
