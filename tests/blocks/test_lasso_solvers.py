"""LCA, ISTA and FISTA against scikit-learn's Lasso, their own theory, and lca-pytorch's steps."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso

from benchmarks.baselines import lca_as_convolutions
from latentbench.blocks.lasso import kkt_residual
from latentbench.blocks.lasso_ista import lasso_ista
from latentbench.blocks.lasso_lca import lasso_lca
from latentbench.streams import stream

M, K, B, L1 = 30, 50, 12, 0.3


def problem(coherent=False, seed=1):
    """Images [B, M] and a dictionary [M, K] of unit-norm columns in float64; coherent columns lean towards each other."""
    generator = stream(seed)
    phi = torch.randn(M, K, generator=generator, dtype=torch.float64)
    if coherent:
        phi += 1.5 * torch.randn(M, 1, generator=generator, dtype=torch.float64)
    return 2 * torch.randn(B, M, generator=generator, dtype=torch.float64), phi / phi.norm(dim=0)


def objective(x, phi, z):
    return 0.5 * (x - z @ phi.T).square().sum(1) + L1 * z.abs().sum(1)  # [B]


def optimum(x, phi, non_negative):
    model = Lasso(alpha=L1 / len(phi), positive=non_negative, fit_intercept=False, tol=1e-14, max_iter=10**6)
    return torch.from_numpy(model.fit(phi.numpy(), x.T.numpy()).coef_)


SOLVERS = {
    "lca": lambda x, phi, nn: lasso_lca(x, phi, L1, iterations=60_000, tau=30, non_negative=nn, tolerance=1e-10),
    "ista": lambda x, phi, nn: lasso_ista(x, phi, L1, iterations=60_000, accelerated=False, non_negative=nn, tolerance=1e-12),
    "fista": lambda x, phi, nn: lasso_ista(x, phi, L1, iterations=4000, non_negative=nn, tolerance=1e-12),
    "fista without restart": lambda x, phi, nn: lasso_ista(x, phi, L1, iterations=20_000, restart=False, non_negative=nn, tolerance=1e-12),
}


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("non_negative", [True, False])
@pytest.mark.parametrize("coherent", [False, True])
def test_every_solver_reaches_scikit_learn_s_optimum(name, non_negative, coherent):
    x, phi = problem(coherent)
    z = SOLVERS[name](x, phi, non_negative)
    best = objective(x, phi, optimum(x, phi, non_negative))
    assert float((objective(x, phi, z) - best).abs().max()) < 1e-5 * float(best.max())
    assert not non_negative or float(z.min()) >= 0


@pytest.mark.parametrize("non_negative", [True, False])
def test_lca_rests_where_the_optimality_conditions_hold(non_negative):
    x, phi = problem()
    z = lasso_lca(x, phi, L1, iterations=60_000, tau=30, non_negative=non_negative)
    assert float(kkt_residual(z, (x - z @ phi.T) @ phi, L1, non_negative).max()) < 1e-3
    again = lasso_lca(x, phi, L1, iterations=60_100, tau=30, non_negative=non_negative)
    assert float((again - z).abs().max()) < 1e-4


@pytest.mark.parametrize("coherent", [False, True])
def test_ista_s_objective_never_rises(coherent):
    x, phi = problem(coherent)
    values = torch.stack([objective(x, phi, lasso_ista(x, phi, L1, iterations=n, accelerated=False)) for n in range(1, 80)])
    assert float((values[1:] - values[:-1]).max()) <= 1e-12
    assert float(values[0].sum() - values[-1].sum()) > 1


@pytest.mark.parametrize("coherent", [False, True])
def test_fista_without_restart_meets_its_bound(coherent):
    """F(z_n) - F* <= 2 L |z_0 - z*|^2 / (n + 1)^2 with z_0 = 0 (Beck & Teboulle 2009, Theorem 4.4), in float64."""
    x, phi = problem(coherent)
    best = optimum(x, phi, False)
    lipschitz = float(torch.linalg.matrix_norm(phi, 2)) ** 2
    for n in (1, 2, 5, 10, 30, 100):
        z = lasso_ista(x, phi, L1, iterations=n, restart=False, non_negative=False)
        bound = 2 * lipschitz * best.square().sum(1) / (n + 1) ** 2
        assert ((objective(x, phi, z) - objective(x, phi, best)) <= bound + 1e-9).all()


def test_restarts_save_iterations_on_a_coherent_dictionary():
    x, phi = problem(coherent=True)
    best = float(objective(x, phi, optimum(x, phi, True)).sum())
    errors = [float(objective(x, phi, lasso_ista(x, phi, L1, iterations=300, restart=restart)).sum()) - best for restart in (True, False)]
    assert errors[0] < 0.1 * errors[1]


def test_ista_does_not_need_columns_of_unit_norm():
    x, phi = problem()
    scaled = phi * torch.linspace(0.5, 3, K, dtype=torch.float64)
    z = lasso_ista(x, scaled, L1, iterations=4000)
    assert torch.allclose(objective(x, scaled, z), objective(x, scaled, optimum(x, scaled, True)), rtol=1e-6)
    assert not lasso_ista(x, torch.zeros_like(phi), L1, iterations=5).any()


def test_a_tolerance_ends_inference_early():
    """The same optimum within the tolerance, in far fewer products."""
    x, phi = problem()
    for solver, options in ((lasso_lca, {"tau": 30}), (lasso_ista, {})):
        full = solver(x, phi, L1, iterations=20_000, **options)
        assert torch.allclose(solver(x, phi, L1, iterations=20_000, tolerance=1e-6, **options), full, atol=1e-3)
        rough = solver(x, phi, L1, iterations=20_000, tolerance=0.5, **options)
        assert not torch.allclose(rough, full, atol=1e-3)


def test_codes_do_not_depend_on_which_images_are_inferred_together():
    x, phi = problem()
    many = x.repeat(50, 1)
    for solver, options in ((lasso_lca, {"tau": 30}), (lasso_ista, {})):
        whole, alone = solver(many, phi, L1, iterations=50, **options), solver(x, phi, L1, iterations=50, **options)
        assert torch.allclose(whole[:B], alone, atol=1e-12)
        assert torch.allclose(whole[-B:], alone, atol=1e-12)


@pytest.mark.parametrize("iterations", [1, 10, 200])
def test_lca_has_lca_pytorch_s_trajectory(iterations):
    """The update written with convolutions, step by step, as the benchmark's baseline has it."""
    x, phi = problem()
    assert torch.allclose(lasso_lca(x, phi, L1, iterations=iterations, tau=30), lca_as_convolutions(x, phi, L1, iterations, 30), atol=1e-10)


@pytest.mark.parametrize("iterations", [1, 2, 3, 10, 900])
@pytest.mark.parametrize("non_negative", [True, False])
def test_an_iteration_of_lca_is_a_threshold_and_then_a_step(iterations, non_negative):
    """On an orthonormal dictionary u_n = (1 - (1 - 1/tau)^n) Phi' x in closed form; the codes of iteration n are those of u after n - 1 steps."""
    x = problem()[0]
    phi = torch.linalg.qr(torch.randn(M, M, generator=stream(2), dtype=torch.float64))[0]
    u = (1 - (1 - 1 / 100) ** (iterations - 1)) * x @ phi
    expected = (u - L1).clamp(min=0) if non_negative else u.sign() * (u.abs() - L1).clamp(min=0)
    assert torch.allclose(lasso_lca(x, phi, L1, iterations=iterations, tau=100, non_negative=non_negative), expected, atol=1e-12)


def test_made_problems_have_sparse_solutions():
    """Otherwise the tests above would compare little."""
    x, phi = problem()
    active = (optimum(x, phi, True) > 0).double().mean()
    assert 0.1 < float(active) < 0.9
    assert np.isfinite(float(active))
