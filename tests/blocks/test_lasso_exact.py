"""Exact Lasso codes: against closed forms, scikit-learn and the optimality conditions; their gap bounds the true excess; solvers agree."""

from importlib.util import find_spec

import pytest
import torch
from sklearn.linear_model import Lasso

from latentbench.blocks import lasso_exact
from latentbench.blocks.lasso import kkt_residual
from latentbench.blocks.lasso_exact import solve_lasso
from latentbench.blocks.lasso_gap import duality_gap
from latentbench.blocks.lasso_ista import lasso_ista
from latentbench.streams import stream

M, K, B, L1 = 30, 50, 40, 0.3
needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed: pip install 'latentbench[fast]'")
SOLVERS = [pytest.param("compiled", marks=needs_numba), "torch", "fista"]


@pytest.fixture(params=SOLVERS)
def solve(request, monkeypatch):
    """A solver of exact codes: the compiled active set, that in torch, FISTA."""
    if request.param == "torch":
        monkeypatch.setattr(lasso_exact, "is_compiled", lambda: False)
    return lambda *given, **how: solve_lasso(*given, solver="fista" if request.param == "fista" else "active_set", **how)


def problem(coherent=False, dtype=torch.float64):
    """Images [B, M] and a dictionary [M, K] of unit-norm columns; coherent columns lean towards each other."""
    generator = stream(1)
    phi = torch.randn(M, K, generator=generator, dtype=torch.float64)
    if coherent:
        phi += 1.5 * torch.randn(M, 1, generator=generator, dtype=torch.float64)
    return (2 * torch.randn(B, M, generator=generator, dtype=torch.float64)).to(dtype), (phi / phi.norm(dim=0)).to(dtype)


def objective(x, phi, z, l1=L1):
    return 0.5 * (x - z @ phi.T).square().sum(1) + l1 * z.abs().sum(1)


def energy(x):
    return 0.5 * x.double().square().sum(1)


def optimum(x, phi, non_negative):
    model = Lasso(alpha=L1 / len(phi), positive=non_negative, fit_intercept=False, tol=1e-14, max_iter=10**6)
    return torch.from_numpy(model.fit(phi.numpy(), x.T.numpy()).coef_)


@pytest.mark.parametrize("non_negative", [True, False])
def test_codes_of_an_orthonormal_dictionary_are_soft_thresholds(solve, non_negative):
    x = problem()[0]
    phi = torch.linalg.qr(torch.randn(M, M, generator=stream(2), dtype=torch.float64))[0]
    u = x @ phi
    expected = (u - L1).clamp(min=0) if non_negative else u.sign() * (u.abs() - L1).clamp(min=0)
    assert torch.allclose(solve(x, phi, L1, tolerance=1e-13, non_negative=non_negative).codes, expected, atol=1e-6)


@pytest.mark.parametrize("non_negative", [True, False])
@pytest.mark.parametrize("coherent", [False, True])
def test_codes_are_scikit_learn_s(solve, non_negative, coherent):
    x, phi = problem(coherent)
    z = solve(x, phi, L1, tolerance=1e-13, non_negative=non_negative).codes
    assert torch.allclose(z, optimum(x, phi, non_negative), atol=1e-5)
    assert float(kkt_residual(z, (x - z @ phi.T) @ phi, L1, non_negative).max()) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("tolerance", [1e-2, 1e-5])
def test_the_tolerance_is_met_by_every_image(solve, dtype, tolerance):
    x, phi = problem(dtype=dtype)
    found = solve(x, phi, L1, tolerance=tolerance)
    assert found.codes.dtype == dtype
    assert (found.gap <= tolerance * energy(x)).all()
    assert torch.equal(found.gap, duality_gap(x, phi, found.codes, L1))


@pytest.mark.parametrize("non_negative", [True, False])
@pytest.mark.parametrize("iterations", [0, 3, 20, 200])
def test_the_gap_bounds_the_excess_over_the_minimum(non_negative, iterations):
    """Of codes that are far from their optimum, and near it."""
    x, phi = problem()
    z = lasso_ista(x, phi, L1, iterations=iterations, non_negative=non_negative)
    excess = objective(x, phi, z) - objective(x, phi, optimum(x, phi, non_negative))
    gap = duality_gap(x, phi, z, L1, non_negative=non_negative)
    assert (gap >= excess - 1e-10).all()
    assert iterations < 200 or float((gap / energy(x)).max()) < 1e-2


def test_the_gap_of_zero_codes_in_closed_form():
    """With z = 0 and c the largest correlation the dual point is s x, s = min(1, lambda / c), and the gap (1 - s)^2 |x|^2 / 2."""
    x, phi = problem()
    s = (L1 / (x @ phi).abs().amax(1)).clamp(max=1)
    assert torch.allclose(duality_gap(x, phi, torch.zeros(B, K, dtype=x.dtype), L1, non_negative=False), (1 - s).square() * energy(x))


@needs_numba
@pytest.mark.parametrize("non_negative", [True, False])
def test_compiled_and_torch_give_equal_codes(monkeypatch, non_negative):
    x, phi = problem()
    compiled = solve_lasso(x, phi, L1, tolerance=1e-13, solver="active_set", non_negative=non_negative).codes
    monkeypatch.setattr(lasso_exact, "is_compiled", lambda: False)
    assert torch.allclose(compiled, solve_lasso(x, phi, L1, tolerance=1e-13, solver="active_set", non_negative=non_negative).codes, atol=1e-6)


@needs_numba
def test_threads_change_no_code():
    x, phi = problem()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = solve_lasso(x, phi, L1, solver="active_set").codes
        torch.set_num_threads(2)
        two = solve_lasso(x, phi, L1, solver="active_set").codes
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(one, two, atol=1e-12)


@needs_numba
def test_auto_takes_fista_for_images_with_many_active_codes_alone(monkeypatch):
    """Half of the images are a tenth as bright, so few of their codes are active."""
    x, phi = problem()
    x[::2] *= 0.1
    share = (solve_lasso(x, phi, L1).codes != 0).double().mean(1)
    monkeypatch.setattr(lasso_exact, "SPARSE", float(share.median()))
    asked = []
    in_torch = lasso_exact.solve_in_torch

    def counted(given, *how, **names):
        asked.append(len(given.drive))
        return in_torch(given, *how, **names)

    monkeypatch.setattr(lasso_exact, "solve_in_torch", counted)
    found = solve_lasso(x, phi, L1)
    assert 0 < sum(asked) < B
    assert (found.gap <= 1e-5 * energy(x)).all()


def test_auto_is_fista_without_numba(monkeypatch):
    x, phi = problem()
    monkeypatch.setattr(lasso_exact, "is_compiled", lambda: False)
    assert torch.equal(solve_lasso(x, phi, L1).codes, solve_lasso(x, phi, L1, solver="fista").codes)


def test_black_images_and_columns_of_zeros_have_codes_of_zero(solve):
    x, phi = problem()
    phi[:, 3] = 0
    x[0] = 0
    found = solve(x, phi, L1)
    assert not found.codes[0].any()
    assert not found.codes[:, 3].any()
    assert float(found.gap[0]) == 0


def test_columns_that_are_equal_do_not_matter(solve):
    """The Gram matrix of active columns is singular, and the optimum not unique."""
    x, phi = problem()
    twice = torch.cat([phi, phi], dim=1)
    found = solve(x, twice, L1, non_negative=False)
    assert (found.gap <= 1e-5 * energy(x)).all()
    best = objective(x, phi, optimum(x, phi, False))
    assert torch.allclose(objective(x, twice, found.codes), best, atol=1e-4 * float(energy(x).max()))


def test_a_gap_that_is_out_of_reach_is_returned_as_it_is():
    x, phi = problem()
    found = solve_lasso(x, phi, L1, tolerance=1e-10, solver="fista", iterations=20)
    assert (found.gap > 1e-10 * energy(x)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tolerance": 0}, "must be a number above 0, got 0"),
        ({"tolerance": float("inf")}, "must be a number above 0, got inf"),
        ({"l1": float("nan")}, "lambda must be a number of at least 0, got nan"),
        ({"l1": -1.0}, "lambda must be a number of at least 0, got -1.0"),
        ({"solver": "lars"}, "no solver 'lars'; there are auto, active_set, fista"),
        ({"iterations": 0}, "at least one iteration, got 0"),
        ({"images": torch.ones(2, 3, dtype=torch.int64), "dictionary": torch.ones(3, 4, dtype=torch.int64)}, "float32 or float64, got torch.int64"),
        ({"images": torch.ones(2, 3).half(), "dictionary": torch.ones(3, 4).half()}, "float32 or float64, got torch.float16"),
        ({"dictionary": torch.ones(3, 0)}, r"got \(2, 3\) and \(3, 0\)"),
        ({"images": torch.full((2, 3), torch.nan)}, "not finite"),
        ({"dictionary": torch.full((3, 4), torch.inf)}, "not finite"),
    ],
)
def test_what_has_no_solution_is_refused(change, message):
    given = {"images": torch.ones(2, 3), "dictionary": torch.ones(3, 4), "l1": L1, **change}
    with pytest.raises(ValueError, match=message):
        solve_lasso(**given)


def test_a_gap_has_no_negative_penalty():
    with pytest.raises(ValueError, match="lambda must be a number of at least 0, got -1"):
        duality_gap(torch.ones(2, 3), torch.ones(3, 4), torch.zeros(2, 4), -1)


def test_codes_of_parameters_have_no_gradient():
    x, phi = problem(dtype=torch.float32)
    assert not solve_lasso(x, phi.requires_grad_(), L1).codes.requires_grad


@needs_numba
def test_auto_leaves_to_the_active_set_what_fista_misses(monkeypatch):
    monkeypatch.setattr(lasso_exact, "SPARSE", 0.0)  # FISTA for every image
    x, phi = problem(coherent=True)
    few = {"tolerance": 1e-9, "iterations": 3}
    assert (solve_lasso(x, phi, L1, solver="fista", **few).gap > 1e-9 * energy(x)).any()
    assert (solve_lasso(x, phi, L1, **few).gap <= 1e-9 * energy(x)).all()
