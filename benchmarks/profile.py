"""Where a linear Poisson step spends its time, part by part: `python -m benchmarks.profile`.

Parts are timed alone, at the rates of a short training, so that they find their inputs in the cache; "the rest" is what the whole step takes beyond
their sum: Python, autograd, memory that is cold.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import torch
from latentbench_poisson import Poisson, PoissonPosterior
from latentbench_poisson.rates import encoded_rates
from tabulate import tabulate
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.harness import cpu_seconds, machine
from benchmarks.steps import BATCH, COLD, FEATURES, K, made_images, products, training
from latentbench.blocks.relaxed_poisson import relaxed_poisson
from latentbench.streams import stream

TRAINED, ROUNDS = 300, 100
TEMPERATURE = 0.05


def parts() -> tuple[Callable[[], object], dict[str, Callable[[], object]]]:
    """The whole step, and its parts."""
    images = made_images()
    steps = training("poisson", images, **COLD)
    for _ in range(TRAINED):
        state = next(steps)
    family, optimizer, noise = state.model.family, state.optimizer, stream(1)
    assert isinstance(family, Poisson)
    posterior = state.model.encode(images[:BATCH], noise)
    assert isinstance(posterior, PoissonPosterior)
    features, log_r = posterior.features.detach().requires_grad_(), family.log_r.detach().requires_grad_()
    rate, batch = posterior.rate.detach().requires_grad_(), images[:BATCH]
    n_exp = family.cap.n_exp_for(rate, TEMPERATURE)
    back, ones, decoded = torch.randn(BATCH, K), torch.full((BATCH, 1), 1 / BATCH).expand(BATCH, K), torch.randn_like(batch).requires_grad_()
    order = torch.randperm(len(images))[:BATCH]

    def sampled() -> tuple[Tensor, ...]:
        return torch.autograd.grad(relaxed_poisson(rate, TEMPERATURE, n_exp, noise), rate, back)

    return lambda: next(steps), {
        "five matrix products": products(FEATURES["poisson"]),
        "rates and divergence, with their gradient": lambda: torch.autograd.grad(
            encoded_rates(features, log_r, 5.3), (features, log_r), (back, ones)
        ),
        "relaxed counts, with their gradient": sampled,
        "squared error, with its gradient": lambda: torch.autograd.grad((batch - decoded).square().flatten(1).sum(1).mean(), decoded),
        "Adamax": optimizer.step,
        "gathering the batch": lambda: images.index_select(0, order),
        "the largest rate": lambda: family.observe(posterior),
    }


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        whole, each = parts()
        times: dict[str, list[float]] = {name: [] for name in ("the whole step", *each)}
        for _ in range(ROUNDS):
            for name, work in (("the whole step", whole), *each.items()):
                times[name].append(1e3 * cpu_seconds(work))
        found = {name: median(values) for name, values in times.items()}
        found["the rest"] = 2 * found["the whole step"] - sum(found.values())
        print(machine())
        print(tabulate([(name, f"{ms:.2f}") for name, ms in found.items()], ("part", "CPU ms"), tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
