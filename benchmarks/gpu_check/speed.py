"""Seconds of training steps and of the sampler, against the published way on the same device."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from benchmarks.baselines import algorithm_1, gaussian_steps, poisson_steps
from benchmarks.gpu_check.check import Finding, Setting
from benchmarks.gpu_check.work import CONV, LINEAR, begin, seconds_of
from latentbench.blocks.relaxed_poisson import relaxed_poisson
from latentbench.training.train import train

BATCH, K, N_EXP = 1000, 512, 42


def check(setting: Setting) -> Iterator[Finding]:
    """The paper's models at its sizes, in milliseconds; the baseline's n_exp is 42, ours keeps its own."""
    batch, k = (50, 16) if setting.small else (BATCH, K)
    images = 0.9 * torch.randn(10 * batch, 256, generator=torch.Generator().manual_seed(0))
    for temperature in (0.05, 1.0):
        changes = {"training.temperature_start": temperature, "training.temperature_stop": temperature}
        published = poisson_steps(images, k, batch, N_EXP, temperature, setting.device)
        yield _step(setting, f"linear Poisson step, T = {temperature:g}", changes, batch, k, published)
    yield _step(setting, "linear Gaussian step", {"family": "gaussian"}, batch, k, gaussian_steps(images, k, batch, setting.device))
    yield from (_sampler(setting, batch, k, temperature) for temperature in (0.05, 1.0))
    for dtype in ("float32", "bfloat16", *(["tf32"] if setting.cuda else [])):
        loop = train(*begin({"dtype": dtype, "training.batch_size": batch}, setting, 10 * batch, CONV))
        yield Finding(f"conv Poisson step of MNIST's size, batch {batch}, {dtype}", _ms(_seconds(setting, loop)))


def _seconds(setting: Setting, loop: Iterator[Any]) -> float:
    for _ in range(2 if setting.small else 5):
        next(loop)
    return seconds_of(partial(next, loop), setting.device, rounds=2 if setting.small else 7, repeat=1 if setting.small else 5)


def _step(setting: Setting, name: str, changes: dict[str, Any], batch: int, k: int, published: Iterator[float]) -> Finding:
    loop = train(*begin({"latent_dim": k, "training.batch_size": batch, **changes}, setting, 10 * batch, LINEAR))
    ours, theirs = _seconds(setting, loop), _seconds(setting, published)
    faster = ours < theirs
    return Finding(
        f"{name}, batch {batch}, K {k}",
        f"{_ms(ours)}; published {_ms(theirs)}; {theirs / ours:.1f} times faster",
        "faster" if setting.cuda else "",
        faster if setting.cuda else None,
    )


def _sampler(setting: Setting, batch: int, k: int, temperature: float) -> Finding:
    """Forward and backward, at rates of mean .05, most of them far smaller."""
    generator = torch.Generator(setting.device).manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rates = torch.distributions.Gamma(0.3, 0.3 / 0.05).sample((batch, k)).clamp(1e-7, 20).to(setting.device)

    def ours() -> None:
        rate = rates.clone().requires_grad_()
        relaxed_poisson(rate, temperature, N_EXP, generator).sum().backward()

    def published() -> None:
        rate = rates.clone().requires_grad_()
        algorithm_1(rate, N_EXP, temperature).sum().backward()

    times = []
    for work in (ours, published):
        work()
        times.append(seconds_of(work, setting.device, rounds=2 if setting.small else 7))
    found = f"{_ms(times[0])}; published {_ms(times[1])}; {times[1] / times[0]:.1f} times faster"
    return Finding(f"Poisson sampler, T = {temperature:g}, rates of mean .05 [{batch}, {k}]", found)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f} ms"
