"""How costs grow: a Poisson step over K, batch and rate, evaluations over N and K, and reading over runs: time and memory, as curves.

`python -m benchmarks.growth [steps] [evaluations] [runs]` draws these, or all. The documentation has copies of the pictures.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks import curves, growth_evaluations, growth_runs
from benchmarks.baselines import algorithm_1, poisson_steps
from benchmarks.curves import Curves, point
from benchmarks.steps import training
from latentbench.blocks.arrivals import arrivals_needed
from latentbench.blocks.relaxed_poisson import relaxed_poisson

LIMIT = 50_000_000
"""Elements of [n_exp, B, K] beyond which the baseline is not run."""
COLD: dict[str, Any] = {"training.temperature_start": 0.05, "training.temperature_stop": 0.05}
IMAGES = Path(__file__).parents[1] / "docs" / "images"


def draw(path: Path, chosen: Collection[str] = ("steps", "evaluations", "runs")) -> None:
    """Measure and draw: steps to `path`, evaluations and runs beside it; each is copied to the documentation."""
    figures: dict[str, tuple[Callable[[], dict[str, Curves]], Path]] = {
        "steps": (panels, path),
        "evaluations": (growth_evaluations.panels, path.with_name("growth_evaluations.png")),
        "runs": (growth_runs.panels, path.with_name("growth_runs.png")),
    }
    for name in chosen:
        measured, target = figures[name]
        curves.draw(measured(), target)
        shutil.copy(target, IMAGES / target.name)


def panels() -> dict[str, Curves]:
    """A linear Poisson step, ours and the published way, over three sizes."""
    return {"K (batch 1000)": by_k(), "batch (K 512)": by_batch(), "mean rate (1000 x 512, T = .05)": by_rate()}


def by_k() -> Curves:
    """Whole steps at batch 1000, T = .05."""
    return {side: [p for k in (128, 256, 512, 1024, 2048, 4096) if (p := _step(side, k, 1000, k))] for side in ("ours", "published")}


def by_batch() -> Curves:
    """Whole steps at K = 512, T = .05."""
    return {side: [p for b in (100, 250, 500, 1000, 2000, 4000) if (p := _step(side, 512, b, b))] for side in ("ours", "published")}


def by_rate() -> Curves:
    """The sampler and its gradient, with the n_exp that the rates need."""
    found: Curves = {"ours": [], "published": []}
    generator = torch.Generator().manual_seed(0)
    for mean in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0):
        rates = torch.distributions.Gamma(2.0, 2.0 / mean).sample((1000, 512))
        n_exp = arrivals_needed(float(rates.max()))

        def ours(rates=rates, n_exp=n_exp) -> None:  # type: ignore[no-untyped-def]  # bound values
            relaxed_poisson(rates.clone().requires_grad_(), 0.05, n_exp, generator).sum().backward()

        def published(rates=rates, n_exp=n_exp) -> None:  # type: ignore[no-untyped-def]  # bound values
            algorithm_1(rates.clone().requires_grad_(), n_exp, 0.05).sum().backward()

        found["ours"].append(point(mean, ours, 5))
        if n_exp * rates.numel() <= LIMIT:
            found["published"].append(point(mean, published, 1))
    return found


def _step(side: str, k: int, batch: int, at: float) -> tuple[float, float, float] | None:
    images = 0.9 * torch.randn(2 * batch, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    if side == "ours":
        steps = training("poisson", images, k, batch, **COLD)
        return point(at, lambda: next(steps), 5)
    if 42 * k * batch > LIMIT:
        return None
    published = poisson_steps(images.flatten(1), k, batch, 42, 0.05)
    return point(at, lambda: next(published), 1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with threadpool_limits(1):
        draw(Path(__file__).parent / "growth.png", sys.argv[1:] or ("steps", "evaluations", "runs"))
