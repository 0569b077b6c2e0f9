"""LCA against lca-pytorch's way of computing it, and FISTA against LCA at LCA's objective."""

from __future__ import annotations

import math

import torch
from latentbench_ista import infer as fista
from latentbench_lca import infer as lca
from torch import Tensor

from benchmarks.baselines import lca_as_convolutions
from benchmarks.harness import Row, measure

BATCH, M, K, L1, TAU, ITERATIONS = 1000, 256, 512, 0.1, 100.0, 900
TIMED = 90
"""LCA's iterations in a timing of the two ways of computing it; they cost the same throughout."""


def images() -> Tensor:
    """Gaussian noise with the size and variance of whitened patches [1000, 256]."""
    return 0.87 * torch.randn(BATCH, M, generator=torch.Generator().manual_seed(0))


def random_dictionary() -> Tensor:
    """Gaussian elements of unit norm [256, 512]."""
    elements = torch.randn(M, K, generator=torch.Generator().manual_seed(1))
    unit: Tensor = elements / elements.norm(dim=0)
    return unit


def gabor_dictionary() -> Tensor:
    """Gabor functions of unit norm at random places and orientations, of frequencies that patches have: a coherent dictionary [256, 512]."""
    generator = torch.Generator().manual_seed(2)
    side = math.isqrt(M)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    x, y, theta, phase = (torch.rand(K, 1, 1, generator=generator) for _ in range(4))
    frequency = 0.1 + 0.2 * torch.rand(K, 1, 1, generator=generator)
    u = (columns - 2 - 12 * x) * (math.pi * theta).cos() + (rows - 2 - 12 * y) * (math.pi * theta).sin()
    v = -(columns - 2 - 12 * x) * (math.pi * theta).sin() + (rows - 2 - 12 * y) * (math.pi * theta).cos()
    elements = (torch.exp(-(u**2 + v**2 / 2) * frequency**2 * 4) * torch.cos(2 * math.pi * (frequency * u + phase))).flatten(1).T
    unit: Tensor = elements / elements.norm(dim=0)
    return unit


def objective(x: Tensor, dictionary: Tensor, z: Tensor) -> float:
    """Mean of 1/2 |x - Phi z|^2 + lambda |z|_1 over images, in float64."""
    error = x.double() - z.double() @ dictionary.double().T
    return float((0.5 * error.square().sum(1) + L1 * z.double().abs().sum(1)).mean())


def iterations_to(target: float, x: Tensor, dictionary: Tensor) -> int:
    """The fewest FISTA iterations whose objective is not above `target`."""
    return next(n for n in range(1, ITERATIONS) if objective(x, dictionary, fista(x, dictionary, L1, iterations=n)) <= target)


def rows(rounds: int) -> list[Row]:
    """Rows 5 and 6 of the table."""
    x, dictionary = images(), random_dictionary()
    measured = [
        measure(
            f"LCA, the same trajectory, {TIMED} iterations, batch 1000, K 512",
            lambda: lca(x, dictionary, L1, iterations=TIMED, tau=TAU),
            lambda: lca_as_convolutions(x, dictionary, L1, TIMED, TAU),
            rounds,
            2.5,
            3,
        )
    ]
    for name, phi, gate, aim in (("random", dictionary, 30, 60), ("Gabor", gabor_dictionary(), 30, 60)):
        reached = objective(x, phi, lca_as_convolutions(x, phi, L1, ITERATIONS, TAU))
        n = iterations_to(reached, x, phi)
        best = objective(x, phi, fista(x, phi, L1, iterations=2000))
        work = f"objective of LCA-900 ({reached:.3f}; optimum {best:.3f}) by FISTA in {n} iterations, {name} dictionary"
        measured.append(_against_lca(work, x, phi, n, gate, aim, max(2, rounds // 3)))
    return measured


def _against_lca(work: str, x: Tensor, phi: Tensor, n: int, gate: float, aim: float, rounds: int) -> Row:
    return measure(
        work,
        lambda: fista(x, phi, L1, iterations=n),
        lambda: lca_as_convolutions(x, phi, L1, TIMED, TAU),
        rounds,
        gate,
        aim,
        scale=ITERATIONS / TIMED,
    )
