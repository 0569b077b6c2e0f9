"""The soft threshold, optimality of codes against scikit-learn, and what solvers refuse."""

import pytest
import torch
from sklearn.linear_model import Lasso

from latentbench.blocks.lasso import kkt_residual, soft_threshold
from latentbench.blocks.lasso_ista import lasso_ista
from latentbench.blocks.lasso_lca import lasso_lca
from latentbench.streams import stream


def test_the_soft_threshold():
    u = torch.tensor([-2.0, -0.5, 0.0, 0.4, 3.0])
    assert soft_threshold(u, 0.5, True, torch.empty(5)).tolist() == [0, 0, 0, 0, 2.5]
    assert soft_threshold(u, 0.5, False, torch.empty(5)).tolist() == [-1.5, 0, 0, 0, 2.5]


@pytest.mark.parametrize("non_negative", [True, False])
def test_the_kkt_residual_is_zero_at_scikit_learn_s_optimum_and_nowhere_else(non_negative):
    generator = stream(1)
    phi = torch.randn(20, 40, generator=generator, dtype=torch.float64)
    phi /= phi.norm(dim=0)
    x = torch.randn(6, 20, generator=generator, dtype=torch.float64)
    found = Lasso(alpha=0.2 / 20, positive=non_negative, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(phi.numpy(), x.T.numpy())
    z = torch.from_numpy(found.coef_)
    assert float(kkt_residual(z, (x - z @ phi.T) @ phi, 0.2, non_negative).max()) < 1e-6
    other = z + 0.01 * (z != 0)
    assert float(kkt_residual(other, (x - other @ phi.T) @ phi, 0.2, non_negative).min()) > 1e-4


def test_a_negative_code_misses_by_its_size_where_codes_must_not_be_negative():
    residual = kkt_residual(torch.tensor([[-0.3, 0.0]]), torch.tensor([[0.1, 0.0]]), 0.1, non_negative=True)
    assert residual.tolist() == pytest.approx([0.3])


@pytest.mark.parametrize("solve", [lasso_ista, lambda *problem, **how: lasso_lca(*problem, tau=10, **how)], ids=["ista", "lca"])
@pytest.mark.parametrize(
    ("images", "dictionary", "l1", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(4, 5), 0.1, r"got \(2, 3\) and \(4, 5\)"),
        (torch.zeros(3), torch.zeros(3, 5), 0.1, r"expected images \[B, M\]"),
        (torch.zeros(2, 3), torch.zeros(3, 5, dtype=torch.float64), 0.1, "one dtype"),
        (torch.zeros(2, 3), torch.zeros(3, 5), -0.1, "at least 0"),
    ],
)
def test_problems_that_do_not_fit_are_refused(solve, images, dictionary, l1, message):
    with pytest.raises(ValueError, match=message):
        solve(images, dictionary, l1, iterations=3)
