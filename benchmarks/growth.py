"""How the cost of a linear Poisson step grows with K, batch and rate: time and memory, as curves in growth.png."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from latentbench_poisson.arrivals import arrivals_needed
from latentbench_poisson.sampler import relaxed_poisson

from benchmarks.baselines import algorithm_1, poisson_steps
from benchmarks.harness import cpu_seconds, extra_memory
from benchmarks.poisson import training

LIMIT = 50_000_000
"""Elements of [n_exp, B, K] beyond which the baseline is not run."""


def draw(path: Path) -> None:
    """Measure and draw."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    panels = {"K (batch 1000)": by_k(), "batch (K 512)": by_batch(), "mean rate (1000 x 512, T = .05)": by_rate()}
    figure, axes = plt.subplots(2, 3, figsize=(13, 7))
    for column, (name, curves) in enumerate(panels.items()):
        for label, points in curves.items():
            for row, position in enumerate((1, 2)):
                axes[row, column].loglog([p[0] for p in points], [p[position] for p in points], "o-", label=label)
        axes[0, column].set_ylabel("CPU milliseconds")
        axes[1, column].set_ylabel("extra memory, MiB")
        for row in range(2):
            axes[row, column].set_xlabel(name)
            at = [p[0] for p in curves["ours"]]
            axes[row, column].set_xticks(at, [f"{x:g}" for x in at], minor=False)
            axes[row, column].set_xticks([], minor=True)
            axes[row, column].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


COLD: dict[str, Any] = {"training.temperature_start": 0.05, "training.temperature_stop": 0.05}
Curves = dict[str, list[tuple[float, float, float]]]


def by_k() -> Curves:
    """Whole steps at batch 1000, T = .05."""
    return {side: [p for k in (128, 256, 512, 1024, 2048, 4096) if (p := _step(side, k, 1000, k))] for side in ("ours", "published")}


def by_batch() -> Curves:
    """Whole steps at K = 512, T = .05."""
    return {side: [p for b in (100, 250, 500, 1000, 2000, 4000) if (p := _step(side, 512, b, b))] for side in ("ours", "published")}


def by_rate() -> Curves:
    """The sampler and its gradient, with the n_exp that the rates need."""
    curves: Curves = {"ours": [], "published": []}
    generator = torch.Generator().manual_seed(0)
    for mean in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0):
        rates = torch.distributions.Gamma(2.0, 2.0 / mean).sample((1000, 512))
        n_exp = arrivals_needed(float(rates.max()))

        def ours(rates=rates, n_exp=n_exp) -> None:  # type: ignore[no-untyped-def]  # bound values
            relaxed_poisson(rates.clone().requires_grad_(), 0.05, n_exp, generator).sum().backward()

        def published(rates=rates, n_exp=n_exp) -> None:  # type: ignore[no-untyped-def]  # bound values
            algorithm_1(rates.clone().requires_grad_(), n_exp, 0.05).sum().backward()

        curves["ours"].append(_point(mean, ours, 5))
        if n_exp * rates.numel() <= LIMIT:
            curves["published"].append(_point(mean, published, 1))
    return curves


def _step(side: str, k: int, batch: int, at: float) -> tuple[float, float, float] | None:
    images = 0.9 * torch.randn(2 * batch, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    if side == "ours":
        steps = training("poisson", images, k, batch, **COLD)
        return _point(at, lambda: next(steps), 5)
    if 42 * k * batch > LIMIT:
        return None
    published = poisson_steps(images.flatten(1), k, batch, 42, 0.05)
    return _point(at, lambda: next(published), 1)


def _point(at: float, work: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    memory = extra_memory(work)
    work()
    return at, 1e3 * median(cpu_seconds(work) for _ in range(rounds)), memory / 2**20
