"""How evaluations grow with the number of images N and of latent dimensions K, on codes of a linear Gaussian model of ten clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator

from benchmarks.curves import Curves, point
from latentbench.data.dataset import Split, Splits
from latentbench.evaluation.trained import Trained
from latentbench.models.model import build_model
from latentbench.registry import load_registry
from latentbench.streams import stream
from latentbench.suites.resolve import assemble, resolve

NAMES = ("elbo", "sparsity", "active_units", "knn", "shattering", "linear_probe")
LARGEST = {"shattering": 512, "linear_probe": 512}
"""The largest K at which readouts of many parameters are measured; they take a minute then."""


def panels() -> dict[str, Curves]:
    """Time and memory over the images of each split, and over K; the codes themselves are a curve of their own."""
    return {
        "images a split (K 64)": _curves([(n, 64, n) for n in (500, 1000, 2000, 5000, 10_000, 20_000)]),
        "K (5,000 images a split)": _curves([(5000, k, k) for k in (16, 32, 64, 128, 256, 512, 1024)]),
    }


def _curves(sizes: list[tuple[int, int, float]]) -> Curves:
    found: Curves = {"codes": [], **{name: [] for name in NAMES}}
    for n, k, at in sizes:
        trained = _trained(n, k)
        found["codes"].append(point(at, lambda trained=trained: _encode(trained), 1))  # type: ignore[misc]  # a bound value
        for name in NAMES:
            if k <= LARGEST.get(name, k):
                found[name].append(point(at, _evaluation(name, trained), 1))
    return found


def _evaluation(name: str, trained: Trained) -> Callable[[], object]:
    """A call of an evaluation with its default options, whose codes are there already."""
    part = load_registry().evaluation(name)
    evaluation = part(part.options_model())
    for split in ("train", "validation"):
        trained.codes(split)
    return lambda: evaluation.evaluate(trained, Generator().manual_seed(0))


def _encode(trained: Trained) -> None:
    trained._codes.clear()  # else they are kept
    trained.codes("validation")


def _trained(n: int, k: int) -> Trained:
    """A model at its initial values, and two splits of `n` labelled images of 16x16 pixels."""
    registry, generator = load_registry(), stream(0, "growth")
    settings: dict[str, Any] = {"family": "gaussian", "estimator": "mc", "dataset": "photo_patches", "encoder": "linear", "decoder": "linear"}
    run = resolve({**settings, "latent_dim": k, "seed": 1, "training.steps": 1}, registry, "cpu").run
    model = build_model(assemble(run, registry), run.seed, "cpu", torch.float32).eval()
    centres = torch.randn(10, 1, 16, 16, generator=generator)
    splits = []
    for _ in range(2):
        labels = torch.randint(10, (n,), generator=generator)
        splits.append(Split(centres[labels] + 2 * torch.randn(n, 1, 16, 16, generator=generator), labels))
    return Trained(model, Splits(*splits), run.seed)
