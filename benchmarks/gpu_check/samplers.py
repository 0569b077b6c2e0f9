"""Samplers draw from their distributions: a true one fails a line with probability 1e-6."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from benchmarks.gpu_check.check import Finding, Setting
from latentbench.blocks.arrivals import arrivals_needed
from latentbench.blocks.relaxed_categorical import sample_categorical
from latentbench.blocks.relaxed_poisson import relaxed_and_hard_poisson, uses_kernel

LEAST = 1e-6
"""The p-value under which a sampler is said to be wrong."""


def check(setting: Setting) -> Iterator[Finding]:
    """Counts, relaxed counts and one-hots; the same state of a generator gives the same numbers."""
    n = 20_000 if setting.small else 1_000_000
    generator = torch.Generator(setting.device).manual_seed(1)
    kernel = uses_kernel(torch.ones(1, device=setting.device))
    yield Finding(
        "the Poisson sampler is the Triton kernel", "yes" if kernel else "no", "yes" if setting.cuda else "", kernel if setting.cuda else None
    )
    for dtype in (torch.float32, torch.float64):
        yield from _poisson(setting, dtype, n, generator)
    rate = torch.full((n,), 1e-7, device=setting.device)
    draws = 40 if setting.small else 400
    hard = sum(float(relaxed_and_hard_poisson(rate, 0.01, 1, generator)[1].sum()) for _ in range(draws))
    tail = min(stats.poisson.cdf(hard, draws * n * 1e-7), stats.poisson.sf(hard - 1, draws * n * 1e-7))
    yield Finding("arrivals at rate 1e-7, tail probability", f"{tail:.2g}", f"above {LEAST:g}", bool(tail > LEAST))
    yield _categorical(setting, n, generator)
    yield _again(setting, generator)


def _poisson(setting: Setting, dtype: torch.dtype, n: int, generator: torch.Generator) -> Iterator[Finding]:
    name = str(dtype).removeprefix("torch.")
    for rate in (0.05, 1.0, 7.0):
        rates = torch.full((n,), rate, device=setting.device, dtype=dtype)
        hard = relaxed_and_hard_poisson(rates, 0.01, arrivals_needed(rate), generator)[1]
        p = _chi_square(hard, rate)
        yield Finding(f"hard counts, {name}, rate {rate:g}, p-value against Poisson", f"{p:.2g}", f"above {LEAST:g}", p > LEAST)
    rates = torch.full((n,), 0.5, device=setting.device, dtype=dtype)
    z = relaxed_and_hard_poisson(rates, 1.0, 60, generator)[0].double()  # 60 arrivals at rate .5 come after time 50, at T = 1
    error = (float(z.mean()) - 0.5 * math.log1p(math.e)) / (float(z.std()) / n**0.5)
    yield Finding(f"mean of relaxed counts, {name}, T = 1, standard errors from rate ln(1 + e)", f"{error:.2f}", "within 5", abs(error) < 5)


def _chi_square(hard: Tensor, rate: float) -> float:
    cells = np.arange(int(stats.poisson.ppf(0.999, rate)) + 1)
    counts = np.bincount(hard.long().cpu().numpy().clip(0, len(cells)), minlength=len(cells) + 1)
    expected = np.append(stats.poisson.pmf(cells, rate), stats.poisson.sf(cells[-1], rate)) * len(hard)
    return float(stats.chisquare(counts, expected).pvalue)


def _categorical(setting: Setting, n: int, generator: torch.Generator) -> Finding:
    p = torch.tensor([0.5, 0.3, 0.15, 0.05])
    counts = sample_categorical(p.log().to(setting.device).expand(n, -1), generator).sum(0).cpu().double().numpy()
    value = float(stats.chisquare(counts, n * p.double().numpy() / float(p.double().sum())).pvalue)
    return Finding("one-hots, p-value against their probabilities", f"{value:.2g}", f"above {LEAST:g}", value > LEAST)


def _again(setting: Setting, generator: torch.Generator) -> Finding:
    rates, state, draws = torch.rand(10_000, device=setting.device), generator.get_state(), []
    for _ in range(2):
        generator.set_state(state)
        draws.append(relaxed_and_hard_poisson(rates, 0.1, 12, generator)[0])
    equal = torch.equal(*draws)
    return Finding("a generator put back gives the same relaxed counts", "yes" if equal else "no", "yes", equal)
