"""Whole training steps: against the published way, against their own matrix products, and bfloat16 against float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.baselines import gaussian_steps, poisson_steps
from benchmarks.harness import Row, has_bfloat16, measure
from latentbench.data.dataset import Split
from latentbench.models.model import build_model
from latentbench.models.numerics import torch_dtype
from latentbench.registry import load_registry
from latentbench.suites.resolve import assemble, resolve
from latentbench.training.state import TrainingState, new_state
from latentbench.training.train import train

BATCH, K, M = 1000, 512, 256
N_EXP = 42
"""Arrivals of the published way; ours keeps its own."""
GATES = {"poisson": 1.6, "gaussian": 1.3, "laplace": 1.4, "categorical": 1.5}
"""How many times its own matrix products a linear step may take."""
FEATURES = {"poisson": K, "gaussian": 2 * K, "laplace": 2 * K, "categorical": K}
"""What the encoder gives."""
COLD: dict[str, Any] = {"training.temperature_start": 0.05, "training.temperature_stop": 0.05}
"""The temperature at which the second half of a training runs."""
HOT: dict[str, Any] = dict.fromkeys(COLD, 1.0)
"""That at which it starts."""


def training(family: str, images: Tensor, k: int = K, batch: int = BATCH, steps: int = 10**6, **settings: Any) -> Iterator[TrainingState]:
    """Our training loop on these images [N, 1, 16, 16], step by step."""
    registry = load_registry()
    common = {"estimator": "mc", "dataset": "photo_patches", "encoder": "linear", "decoder": "linear", "latent_dim": k, "seed": 1}
    schedule = {"training.steps": steps, "training.batch_size": batch, "training.learning_rate": 0.005, "training.grad_clip": 500}
    run = resolve({"family": family, **common, **schedule, **settings}, registry, "cpu").run
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch_dtype(run.dtype))
    return train(new_state(model, run.train_settings, run.seed), Split(images), run)


def made_images() -> Tensor:
    """Gaussian noise with the size and variance of whitened patches."""
    return 0.9 * torch.randn(10 * BATCH, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def products(features: int) -> Callable[[], None]:
    """The five matrix products of a linear step: two forward, and gradients in the code, the dictionary and the encoder's weights."""
    x, weights, dictionary = torch.randn(BATCH, M), 0.05 * torch.randn(features, M), 0.05 * torch.randn(M, K)
    z, to_image, to_features = torch.rand(BATCH, K), torch.randn(BATCH, M), torch.randn(BATCH, features)

    def work() -> None:
        x @ weights.T, z @ dictionary.T
        to_image @ dictionary, to_image.T @ z, to_features.T @ x

    return work


def step_rows(rounds: int) -> list[Row]:
    """Steps against the published way (Poisson and Gaussian), and all families against their products."""
    images = made_images()
    name = "linear {} step, batch 1000, K 512"
    published = {"poisson": poisson_steps(images.flatten(1), K, BATCH, N_EXP, 0.05), "gaussian": gaussian_steps(images.flatten(1), K, BATCH)}
    warm = poisson_steps(images.flatten(1), K, BATCH, N_EXP, 1.0)
    rows = [
        _row(name.format("Poisson") + ", T = 0.05", training("poisson", images, **COLD), published["poisson"], rounds, 30, 60),
        _row(name.format("Poisson") + ", T = 1", training("poisson", images, **HOT), warm, rounds),
        _row(name.format("Gaussian"), training("gaussian", images), published["gaussian"], 10 * rounds),
    ]
    return rows + floor_rows(images, rounds) + bfloat16_rows(images, rounds)


def floor_rows(images: Tensor, rounds: int) -> list[Row]:
    """Steps of all families against their own matrix products, which are the baseline as well."""
    rows = []
    for family, gate in GATES.items():
        steps, work = training(family, images, **(COLD if family == "poisson" else {})), products(FEATURES[family])
        _warm(steps)
        name = f"linear {family} step against its matrix products" + (", T = 0.05" if family == "poisson" else "")
        rows.append(measure(name, partial(next, steps), work, 20 * rounds, products=work, products_gate=gate))
    return rows


def bfloat16_rows(images: Tensor, rounds: int) -> list[Row]:
    """The same steps in bfloat16 and in float32."""
    able = has_bfloat16()
    rows = []
    for family, gate in (("poisson", 1.4), ("gaussian", 1.6)):
        settings = COLD if family == "poisson" else {}
        narrow, wide = training(family, images, dtype="bfloat16", **settings), training(family, images, **settings)
        _warm(narrow)
        _warm(wide)
        name = f"linear {family} step in bfloat16 against float32" + ("" if able else ": this processor has no instructions for it")
        rows.append(measure(name, partial(next, narrow), partial(next, wide), 20 * rounds, gate if able else None))
    return rows


def _row(name: str, ours: Iterator[Any], baseline: Iterator[Any], rounds: int, gate: float | None = None, aim: float | None = None) -> Row:
    next(ours), next(baseline)
    return measure(name, partial(next, ours), partial(next, baseline), rounds, gate, aim)


def _warm(steps: Iterator[Any]) -> None:
    """Past the first steps, whose rates and checks are not those of a training."""
    for _ in range(50):
        next(steps)
