"""LCA, ISTA and FISTA against scikit-learn's Lasso, their own theory, and lca-pytorch's interface."""

import sys
import types

import numpy as np
import pytest
import torch
from latentbench_ista import infer as ista
from latentbench_lca import infer as lca
from sklearn.linear_model import Lasso
from torch import nn

from benchmarks.baselines import lca_as_convolutions
from latentbench.model import build_model
from latentbench.resolve import InapplicableError, assemble
from latentbench.sparse_coding import kkt_residual
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
    "lca": lambda x, phi, nn: lca(x, phi, L1, iterations=60_000, tau=30, non_negative=nn, tolerance=1e-10),
    "ista": lambda x, phi, nn: ista(x, phi, L1, iterations=60_000, accelerated=False, non_negative=nn, tolerance=1e-12),
    "fista": lambda x, phi, nn: ista(x, phi, L1, iterations=4000, non_negative=nn, tolerance=1e-12),
    "fista without restart": lambda x, phi, nn: ista(x, phi, L1, iterations=20_000, restart=False, non_negative=nn, tolerance=1e-12),
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
    z = lca(x, phi, L1, iterations=60_000, tau=30, non_negative=non_negative)
    assert float(kkt_residual(z, (x - z @ phi.T) @ phi, L1, non_negative).max()) < 1e-3
    again = lca(x, phi, L1, iterations=60_100, tau=30, non_negative=non_negative)
    assert float((again - z).abs().max()) < 1e-4


@pytest.mark.parametrize("coherent", [False, True])
def test_ista_s_objective_never_rises(coherent):
    x, phi = problem(coherent)
    values = torch.stack([objective(x, phi, ista(x, phi, L1, iterations=n, accelerated=False)) for n in range(1, 80)])
    assert float((values[1:] - values[:-1]).max()) <= 1e-12
    assert float(values[0].sum() - values[-1].sum()) > 1


@pytest.mark.parametrize("coherent", [False, True])
def test_fista_without_restart_meets_its_bound(coherent):
    """F(z_n) - F* <= 2 L |z_0 - z*|^2 / (n + 1)^2 with z_0 = 0 (Beck & Teboulle 2009, Theorem 4.4), in float64."""
    x, phi = problem(coherent)
    best = optimum(x, phi, False)
    lipschitz = float(torch.linalg.matrix_norm(phi, 2)) ** 2
    for n in (1, 2, 5, 10, 30, 100):
        z = ista(x, phi, L1, iterations=n, restart=False, non_negative=False)
        bound = 2 * lipschitz * best.square().sum(1) / (n + 1) ** 2
        assert ((objective(x, phi, z) - objective(x, phi, best)) <= bound + 1e-9).all()


def test_restarts_save_iterations_on_a_coherent_dictionary():
    x, phi = problem(coherent=True)
    best = float(objective(x, phi, optimum(x, phi, True)).sum())
    errors = [float(objective(x, phi, ista(x, phi, L1, iterations=300, restart=restart)).sum()) - best for restart in (True, False)]
    assert errors[0] < 0.1 * errors[1]


def test_ista_does_not_need_columns_of_unit_norm():
    x, phi = problem()
    scaled = phi * torch.linspace(0.5, 3, K, dtype=torch.float64)
    z = ista(x, scaled, L1, iterations=4000)
    assert torch.allclose(objective(x, scaled, z), objective(x, scaled, optimum(x, scaled, True)), rtol=1e-6)
    assert not ista(x, torch.zeros_like(phi), L1, iterations=5).any()


def test_a_tolerance_ends_inference_early():
    """The same optimum within the tolerance, in far fewer products."""
    x, phi = problem()
    for solver, options in ((lca, {"tau": 30}), (ista, {})):
        full = solver(x, phi, L1, iterations=20_000, **options)
        assert torch.allclose(solver(x, phi, L1, iterations=20_000, tolerance=1e-6, **options), full, atol=1e-3)
        rough = solver(x, phi, L1, iterations=20_000, tolerance=0.5, **options)
        assert not torch.allclose(rough, full, atol=1e-3)


def test_codes_do_not_depend_on_which_images_are_inferred_together():
    x, phi = problem()
    many = x.repeat(50, 1)
    for solver, options in ((lca, {"tau": 30}), (ista, {})):
        whole, alone = solver(many, phi, L1, iterations=50, **options), solver(x, phi, L1, iterations=50, **options)
        assert torch.allclose(whole[:B], alone, atol=1e-12)
        assert torch.allclose(whole[-B:], alone, atol=1e-12)


@pytest.mark.parametrize("iterations", [1, 10, 200])
def test_lca_has_lca_pytorch_s_trajectory(iterations):
    """The update written with convolutions, step by step, as the benchmark's baseline has it."""
    x, phi = problem()
    assert torch.allclose(lca(x, phi, L1, iterations=iterations, tau=30), lca_as_convolutions(x, phi, L1, iterations, 30), atol=1e-10)


class StandIn(nn.Module):
    """The part of lcapt.lca.LCAConv1D that the adapter uses, with the published dynamics."""

    made: list = []

    def __init__(self, out_neurons, in_neurons, result_dir, kernel_size, stride, lambda_, tau, lca_iters, nonneg, track_metrics, **others):
        super().__init__()
        self.settings = {"lambda_": lambda_, "tau": tau, "lca_iters": lca_iters, "nonneg": nonneg, **others}
        self.weights = torch.zeros(out_neurons, in_neurons, kernel_size)
        StandIn.made.append(self)

    def assign_weight_values(self, tensor):
        assert tensor.shape == self.weights.shape
        self.weights = tensor

    def forward(self, inputs):
        assert inputs.ndim == 3
        assert inputs.shape[2] == 1
        s = self.settings
        return lca_as_convolutions(inputs[:, :, 0], self.weights[:, :, 0].T, s["lambda_"], s["lca_iters"], s["tau"])[:, :, None]


@pytest.fixture
def lcapt(monkeypatch):
    """A small stand-in for lca-pytorch: equality with the real one is not tested here."""
    package, module = types.ModuleType("lcapt"), types.ModuleType("lcapt.lca")
    package.__spec__ = module.__spec__ = types.SimpleNamespace(name="lcapt")
    module.LCAConv1D = StandIn
    monkeypatch.setitem(sys.modules, "lcapt", package)
    monkeypatch.setitem(sys.modules, "lcapt.lca", module)
    monkeypatch.setattr(StandIn, "made", [])
    return StandIn


def test_the_backend_lcapt_gives_its_class_the_same_problem(lcapt, make_run, registry):
    options = {"family_options__iterations": 40, "family_options__tau": 20.0, "family_options__l1_weight": 0.15}
    runs = {backend: make_run(family="lca", family_options__backend=backend, **options).run for backend in ("native", "lcapt")}
    assert runs["native"].id != runs["lcapt"].id
    images, codes = torch.rand(5, 1, 8, 8, generator=stream(1)), {}
    for backend, run in runs.items():
        model = build_model(*assemble(run, registry), run.seed, "cpu", torch.float32)
        model.family.constrain(model.decoder)
        codes[backend] = model.encode(images).mean
    assert torch.allclose(codes["lcapt"], codes["native"], atol=1e-5)
    (made,) = lcapt.made
    assert made.settings["lambda_"] == pytest.approx(0.15)
    assert (made.settings["tau"], made.settings["lca_iters"], made.settings["nonneg"]) == (20.0, 40, True)
    assert (made.settings["input_zero_mean"], made.settings["input_unit_var"]) == (False, False)


def test_a_missing_lcapt_is_one_message_that_says_how_to_get_it(make_run):
    with pytest.raises(InapplicableError, match=r"lca-pytorch \(import name lcapt\) is not installed; pip install .*git\+https://"):
        make_run(family="lca", family_options__backend="lcapt")


def test_made_problems_have_sparse_solutions():
    """Otherwise the tests above would compare little."""
    x, phi = problem()
    active = (optimum(x, phi, True) > 0).double().mean()
    assert 0.1 < float(active) < 0.9
    assert np.isfinite(float(active))
