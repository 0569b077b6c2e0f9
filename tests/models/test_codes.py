"""A KL that is estimated: against scipy, and what happens where a family does not say so."""

import pytest
import torch
from scipy import stats
from torch.distributions import Normal, StudentT

from latentbench.errors import UserError
from latentbench.models.torch_family import TorchPosterior
from latentbench.streams import stream

IMAGES = 200_000


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 1.0), (0.7, 0.6), (-1.5, 1.3)])
def test_the_estimated_kl_is_unbiased(loc, scale):
    """KL(t || N(0, 1)) = E z^2 / 2 + ln(2 pi) / 2 - entropy; the mean is within five standard errors (fails with probability 6e-7)."""
    q = StudentT(10.0, torch.full((IMAGES, 1), loc, dtype=torch.float64), scale)
    kl = TorchPosterior(q, Normal(torch.zeros(IMAGES, 1, dtype=torch.float64), 1.0), estimated=True).kl(stream(1))
    true = stats.t(10, loc, scale)
    closed = (true.var() + loc**2) / 2 + 0.5 * torch.tensor(2 * torch.pi).log().item() - float(true.entropy())
    assert abs(float(kl.mean()) - closed) < 5 * float(kl.std()) / IMAGES**0.5
    assert bool((kl < 0).any())


def test_the_gradient_of_the_estimate_is_that_of_the_kl():
    """For a Gaussian, whose KL is known: its derivatives in location and scale, within five standard errors."""
    loc, scale = (torch.full((IMAGES, 1), value, dtype=torch.float64, requires_grad=True) for value in (0.7, 0.6))
    prior = Normal(torch.zeros(IMAGES, 1, dtype=torch.float64), 1.0)
    gradients = torch.autograd.grad(TorchPosterior(Normal(loc, scale), prior, estimated=True).kl(stream(2)).sum(), (loc, scale))
    for gradient, closed in zip(gradients, (0.7, 0.6 - 1 / 0.6), strict=True):
        assert abs(float(gradient.mean()) - closed) < 5 * float(gradient.std()) / IMAGES**0.5 + 1e-9


def test_a_kl_that_is_neither_registered_nor_estimated_is_an_error():
    q, p = StudentT(10.0, torch.zeros(2, 3)), Normal(torch.zeros(2, 3), 1.0)
    with pytest.raises(UserError, match=r"knows no KL between StudentT and Normal: the family must say `estimated_kl = True`"):
        TorchPosterior(q, p).kl(stream(0))


def test_runs_of_an_estimated_kl_report_it(make_run, registry):
    assert make_run(family="test_student").assembly.family.estimated_kl
    assert not any(registry.family(name).estimated_kl for name in ("gaussian", "poisson", "categorical", "lca", "test_gamma"))
