"""The Poisson sampler, forward and backward, and whole training steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from latentbench_poisson import PoissonPosterior
from latentbench_poisson.arrivals import arrivals_needed
from latentbench_poisson.sampler import relaxed_poisson
from torch import Tensor

from benchmarks.baselines import algorithm_1, gaussian_steps, poisson_steps
from benchmarks.harness import Row, measure
from latentbench.data.cache import cache_folder
from latentbench.data.dataset import Split
from latentbench.models.model import Model, build_model
from latentbench.registry import load_registry
from latentbench.suites.resolve import assemble, resolve
from latentbench.training.state import TrainingState, new_state
from latentbench.training.train import train

BATCH, K, N_EXP = 1000, 512, 42


def sparse_rates() -> Tensor:
    """Rates like those of a trained model: mean .05, most of them far smaller."""
    torch.manual_seed(0)
    return torch.distributions.Gamma(0.3, 0.3 / 0.05).sample((BATCH, K)).clamp(1e-7, 20)


def dense_rates() -> Tensor:
    """Rates between 1 and 3."""
    torch.manual_seed(0)
    return 1 + 2 * torch.rand(BATCH, K)


def sampler_row(name: str, rates: Tensor, temperature: float, n_exp: int, gate: float | None, aim: float | None, rounds: int) -> Row:
    """Both samplers with their gradients, on the same rates."""
    generator = torch.Generator().manual_seed(0)

    def differentiated(sample: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        def work() -> None:
            rate = rates.clone().requires_grad_()
            sample(rate).sum().backward()

        return work

    return measure(
        f"Poisson sampler, {name}, T = {temperature:g}, n_exp = {n_exp}",
        differentiated(lambda rate: relaxed_poisson(rate, temperature, n_exp, generator)),
        differentiated(lambda rate: algorithm_1(rate, n_exp, temperature)),
        rounds,
        gate,
        aim,
        memory=True,
    )


def training(family: str, images: Tensor, k: int = K, batch: int = BATCH, steps: int = 10**6, **settings: Any) -> Iterator[TrainingState]:
    """Our training loop on these images [N, 1, 16, 16], step by step."""
    registry = load_registry()
    common = {"estimator": "mc", "dataset": "photo_patches", "encoder": "linear", "decoder": "linear", "latent_dim": k, "seed": 1}
    schedule = {"training.steps": steps, "training.batch_size": batch, "training.learning_rate": 0.005, "training.grad_clip": 500}
    run = resolve({"family": family, **common, **schedule, **settings}, registry, "cpu").run
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch.float32)
    return train(new_state(model, run.train_settings, run.seed), Split(images), run)


def made_images() -> Tensor:
    """Gaussian noise with the size and variance of whitened patches."""
    return 0.9 * torch.randn(10 * BATCH, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def trained_rates() -> Tensor:
    """Posterior rates of 1,000 validation patches after 1,500 steps of Poisson <lin|lin>, K = 512, on photo_patches."""
    splits = load_registry().dataset("photo_patches")().load(cache_folder())
    for state in training("poisson", splits.train.images, steps=1500):
        model: Model = state.model
    posterior = model.encode(splits.validation.images[:BATCH])
    assert isinstance(posterior, PoissonPosterior)
    return posterior.rate.detach()


def sampler_rows(rounds: int) -> list[Row]:
    """Rows 1 and 2 of the table, and the sampler on trained rates."""
    sparse, dense, trained = sparse_rates(), dense_rates(), trained_rates()
    found = f"trained rates (mean {float(trained.mean()):.3f}, largest {float(trained.max()):.1f})"
    natural = arrivals_needed(float(trained.max()))
    return [
        sampler_row("sparse rates", sparse, 1.0, N_EXP, 15, 23, rounds),
        sampler_row("sparse rates", sparse, 0.05, N_EXP, 60, 104, rounds),
        sampler_row("dense rates", dense, 1.0, N_EXP, 5, 6, rounds),
        sampler_row("dense rates", dense, 0.05, N_EXP, 1, None, rounds),
        sampler_row(found, trained, 1.0, natural, None, None, rounds),
        sampler_row(found, trained, 0.05, natural, None, None, rounds),
    ]


def step_rows(rounds: int) -> list[Row]:
    """Rows 3 and 4: linear Poisson and Gaussian steps. n_exp of the baseline is 42; ours keeps its own."""
    images = made_images()
    rows = []
    for temperature, gate, aim in ((0.05, 30, 39), (1.0, None, None)):
        temperatures: dict[str, Any] = {"training.temperature_start": temperature, "training.temperature_stop": temperature}
        ours, baseline = training("poisson", images, **temperatures), poisson_steps(images.flatten(1), K, BATCH, N_EXP, temperature)
        next(ours), next(baseline)
        name = f"linear Poisson step, T = {temperature:g}, batch 1000, K 512"
        rows.append(measure(name, partial(next, ours), partial(next, baseline), rounds, gate, aim))
    gaussian, published = training("gaussian", images), gaussian_steps(images.flatten(1), K, BATCH)
    next(gaussian), next(published)
    rows.append(measure("linear Gaussian step, batch 1000, K 512", lambda: next(gaussian), lambda: next(published), 10 * rounds, 1.6, 1.7))
    bf16 = training("gaussian", images, dtype="bfloat16")
    next(bf16)
    rows.append(measure("linear Gaussian step in bfloat16", lambda: next(bf16), lambda: next(published), 10 * rounds, None, 2.5))
    return rows
