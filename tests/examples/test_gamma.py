"""`latentbench-gamma`: the family is what torch.distributions says, and the package works where it is installed."""

import pytest
import torch
from latentbench_gamma import GammaFamily
from scipy import integrate, stats

from latentbench.streams import stream


@pytest.fixture
def family(make_run):
    return GammaFamily(make_run(family="gaussian", latent_dim=3).assembly, GammaFamily.options_model())


def test_the_kl_is_that_of_the_densities(family):
    features = torch.tensor([[0.5, -2.0, 3.0, 1.0, 0.0, -1.0]])
    q = family.posterior(features)
    a, b = q.q.concentration[0].double().tolist(), q.q.rate[0].double().tolist()
    for index, (shape, rate) in enumerate(zip(a, b, strict=True)):
        one, two = stats.gamma(shape, scale=1 / rate), stats.gamma(1.0)
        expected = integrate.quad(lambda z, one=one, two=two: one.pdf(z) * (one.logpdf(z) - two.logpdf(z)), 0, 1, limit=500)[0]
        expected += integrate.quad(lambda z, one=one, two=two: one.pdf(z) * (one.logpdf(z) - two.logpdf(z)), 1, 80, limit=500)[0]
        assert float(q.kl(stream(0))[0, index].detach()) == pytest.approx(expected, rel=1e-3)


def test_the_pathwise_gradient_of_the_mean_is_that_of_the_closed_form(family):
    """d E z / d feature by samples, within five standard errors of that of a / b."""
    features = torch.tensor([[0.5, -1.0, 2.0, 1.0, 0.0, 0.5]]).expand(20_000, -1).clone().requires_grad_()
    (by_samples,) = torch.autograd.grad(family.posterior(features).rsample(1.0, stream(1)).sum(), features)
    (exact,) = torch.autograd.grad(family.posterior(features).mean.sum(), features)
    assert ((by_samples.mean(0) - exact[0]).abs() < 5 * by_samples.std(0) / len(features) ** 0.5).all()


@pytest.mark.slow
def test_the_package_runs_beside_a_built_in(installed, leaderboard):
    board = leaderboard(installed("gamma"))
    assert {line.split()[0] for line in board.splitlines() if line.startswith(("gamma ", "gaussian "))} == {"gamma", "gaussian"}
