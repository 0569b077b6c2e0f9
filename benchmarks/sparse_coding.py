"""LCA against lca-pytorch's way of computing it, FISTA against LCA at LCA's objective, and exact codes against FISTA and per-image solvers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import torch
from sklearn.decomposition import sparse_encode
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from benchmarks.baselines import lca_as_convolutions
from benchmarks.harness import Row, measure
from latentbench.blocks.lasso_exact import solve_lasso
from latentbench.blocks.lasso_gap import duality_gap
from latentbench.blocks.lasso_ista import lasso_ista as fista
from latentbench.blocks.lasso_lca import lasso_lca as lca
from latentbench.errors import UserError
from latentbench.files import cache_folder
from latentbench.registry import load_registry

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


def learnt_dictionary(patches: Tensor, steps: int = 40) -> Tensor:
    """A dictionary [256, 512] of real patches, by steps of online learning (Mairal et al. 2010) at lambda = .5 from patches of unit norm."""
    generator = torch.Generator().manual_seed(3)
    phi = patches[torch.randperm(len(patches), generator=generator)[:K]].T.clone()
    phi /= phi.norm(dim=0)
    codes, products = torch.zeros(K, K), torch.zeros(M, K)
    for _ in range(steps):
        x = patches[torch.randint(len(patches), (500,), generator=generator)]
        z = solve_lasso(x, phi, 0.5, tolerance=1e-3).codes
        codes, products = 0.9 * codes + z.T @ z, 0.9 * products + x.T @ z
        for k in torch.nonzero(codes.diagonal() > 1e-6).flatten().tolist():
            phi[:, k] += (products[:, k] - phi @ codes[:, k]) / codes[k, k]
            phi[:, k] /= phi[:, k].norm()
    return phi


def real_patches() -> tuple[str, Tensor, Tensor]:
    """Whitened 16x16 patches, van Hateren's where they are, else those of two photographs: their name, patches to learn from, and others."""
    registry = load_registry()
    for name in ("van_hateren", "photo_patches"):
        part = registry.dataset(name)
        try:
            data = part(part.options_model()).load(cache_folder())
        except UserError:  # it is not on this machine, and may not be fetched: the next one is inside scikit-learn
            continue
        held_out = data.validation.images.flatten(1)
        return name, data.train.images.flatten(1), held_out[:: len(held_out) // BATCH][:BATCH]
    raise UserError("there are no patches to learn a dictionary of")


def fista_to(tolerance: float, x: Tensor, phi: Tensor, l1: float) -> tuple[int, float]:
    """The fewest iterations of FISTA, 80 or more and up to 5 %, after which the duality gap of every image is at most `tolerance` 1/2 |x|^2, and the
    largest of these gaps in units of that.

    In float32 gaps end at what rounding leaves. Where twice as many iterations less than halve the largest, they are as many as there were before.
    """
    allowed = tolerance * 0.5 * x.double().square().sum(1)

    def largest(n: int) -> float:
        return float((duality_gap(x, phi, fista(x, phi, l1, iterations=n), l1) / allowed).max())

    n, gap = 160, largest(160)  # its first iterations gather momentum, and may not lower the gap
    while gap > 1:
        if (further := largest(2 * n)) > gap / 2:
            return n, gap
        n, gap = 2 * n, further
    n = n // 2
    while (gap := largest(n)) > 1:
        n = int(1.05 * n) + 1
    return n, gap


def by_scikit_learn(method: str, x: Tensor, phi: Tensor, l1: float) -> None:
    """Its sparse coder, image by image: `lasso_lars`, as SPAMS has it, or `lasso_cd`."""
    sparse_encode(x.numpy(), phi.T.numpy(), algorithm=method, alpha=l1, positive=True, max_iter=5000)


def by_celer(x: Tensor, phi: Tensor, l1: float) -> None:
    """celer, image by image; its gap is relative to |x|^2 / 2M, as ours is to 1/2 |x|^2."""
    from celer import Lasso

    model = Lasso(alpha=l1 / M, positive=True, fit_intercept=False, tol=1e-5)
    for image in x.double().numpy():
        model.fit(phi.double().numpy(), image)


def lasso_rows(rounds: int) -> list[Row]:
    """Exact codes to a gap of 1e-5: on real patches at three lambda and on noise against FISTA, and on real patches against per-image solvers."""
    warnings.filterwarnings("ignore", category=ConvergenceWarning)  # scikit-learn's coordinate descent ends at its most iterations
    name, patches, x = real_patches()
    phi = learnt_dictionary(patches)
    measured = [_exact(f"{name}, learnt dictionary", x, phi, l1, rounds, 3.0, 5.0) for l1 in (0.1, 0.3, 0.9)]
    measured.append(_exact("noise, random dictionary", images(), random_dictionary(), L1, rounds, 1 / 1.1))
    few, l1 = x[:50], 0.3
    solvers: list[tuple[str, Callable[[], None]]] = [
        ("scikit-learn's LARS, as SPAMS", partial(by_scikit_learn, "lasso_lars", few, phi, l1)),
        ("scikit-learn's coordinate descent", partial(by_scikit_learn, "lasso_cd", few, phi, l1)),
    ]
    if find_spec("celer"):
        solvers.append(("celer", partial(by_celer, few, phi, l1)))
    for solver, work in solvers:
        ours = partial(solve_lasso, x, phi, l1)
        measured.append(measure(f"exact codes, {name}, lambda = {l1:g}, against {solver}", ours, work, rounds, scale=BATCH / len(few)))
    return measured


def _exact(what: str, x: Tensor, phi: Tensor, l1: float, rounds: int, gate: float, aim: float | None = None) -> Row:
    """`auto` against as many iterations of FISTA as the same gap needs, or as bring it as near as rounding lets it come, which the row says."""
    (n, gap), active = fista_to(1e-5, x, phi, l1), float((solve_lasso(x, phi, l1).codes > 0).sum(1).double().mean())
    short = f", at {gap:.1f} times the gap" if gap > 1 else ""
    work = f"exact codes, {what}, lambda = {l1:g}: {active:.0f} active, FISTA in {n} iterations{short}"
    return measure(work, partial(solve_lasso, x, phi, l1), partial(fista, x, phi, l1, iterations=n), rounds, gate, aim)
