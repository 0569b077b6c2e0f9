"""The Poisson sampler, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from latentbench_poisson import PoissonPosterior
from torch import Tensor

from benchmarks.baselines import algorithm_1
from benchmarks.harness import Row, measure
from benchmarks.steps import BATCH, K, training
from latentbench.blocks.arrivals import arrivals_needed
from latentbench.blocks.relaxed_poisson import relaxed_poisson
from latentbench.files import cache_folder
from latentbench.models.model import Model
from latentbench.registry import load_registry
from latentbench.streams import stream

N_EXP = 42


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


def trained_rates() -> Tensor:
    """Posterior rates of 1,000 validation patches after 1,500 steps of Poisson <lin|lin>, K = 512, on photo_patches."""
    splits = load_registry().dataset("photo_patches")().load(cache_folder())
    for state in training("poisson", splits.train.images, steps=1500):
        model: Model = state.model
    posterior = model.encode(splits.validation.images[:BATCH], stream(0))
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
