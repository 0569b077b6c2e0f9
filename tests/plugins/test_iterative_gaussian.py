"""`iterative_gaussian` and `iterative_gaussian+relu`: loss and gradient against a plain implementation in float64, divergence, sizes."""

from types import MethodType

import pytest
import torch
from latentbench_iterative.gaussian import GaussianStep, RectifiedStep, gaussian_kl
from torch.distributions import Normal, kl_divergence

from latentbench.models.model import build_model
from latentbench.models.objective import Step
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

SETTINGS = {"estimator": None, "encoder": None, "dtype": "float64", "likelihood_options__variance": "pixel"}
NAMES = ["iterative_gaussian", "iterative_gaussian+relu"]
BETA = 1.7


def noise(seed, shape):
    return torch.randn(shape, dtype=torch.float64, generator=stream(seed))


@pytest.fixture
def made(make_run, registry):
    def make(name, **changes):
        run = make_run(**{**SETTINGS, "family": name, **changes}).run
        model = build_model(assemble(run, registry), run.seed, "cpu", torch.float64)
        with torch.no_grad():
            for i, parameter in enumerate(model.parameters()):
                parameter.add_(0.2 * noise(100 + i, parameter.shape))
        return model

    return make


def some_images(n=3):
    return noise(99, (n, 1, 8, 8))


def loss_of(model, images, progress=1.0):
    """The surrogate, with draws that are numbered from 0 on."""
    drawn = iter(range(1000))
    model.family.draw = MethodType(lambda self, q, inference: q.loc + q.scale * noise(next(drawn), q.loc.shape), model.family)
    code = model.encode(images, stream(1), 1.0, progress)
    return model.loss(Step(images, code, model.family, model.decoder, model.likelihood, BETA, 1.0, True, stream(2)))


def plain_free_energy(parameters, images, steps, limits, rectified):
    """Section 3 of the specification written out: no part of latentbench, and the gradient of each step by hand."""
    phi, s, b = (parameters[name] for name in ("decoder.weight", "likelihood.log_scale", "family.log_bias"))
    eta = parameters["family.log_eta"].exp()
    x, total = images.reshape(len(images), -1), 0.0
    mu, xi = (parameters[name].repeat(len(images), 1) for name in ("family.loc", "family.log_scale"))
    gain = parameters["family.log_gain"].exp() if rectified else torch.ones_like(b)
    log_sigma = 3.45 * torch.tanh(s.reshape(-1) / 3.45)

    def soft(value, limit):
        return limit * torch.tanh(value / limit)

    for t in range(steps):
        epsilon, sigma = noise(2 * t, mu.shape), xi.exp()
        y = mu + sigma * epsilon
        z, slope = (gain * y.clamp(min=0), gain * (y > 0)) if rectified else (y, gain)
        g = -slope * torch.einsum("bm,mk->bk", (x - torch.einsum("mk,bk->bm", phi, z)) / torch.exp(log_sigma) ** 2, phi)
        before = mu, xi
        mu = soft(mu + soft(-eta[0] * (sigma**2 * g + b.exp()), limits[0]), limits[1])
        xi = soft(xi + soft(-eta[1] * 0.5 * g * epsilon * sigma, limits[2]), limits[3])
        y = mu + xi.exp() * noise(2 * t + 1, mu.shape)
        mean = torch.einsum("mk,bk->bm", phi, gain * y.clamp(min=0) if rectified else y)
        minus_log_p = (0.5 * ((x - mean) / torch.exp(log_sigma)) ** 2 + log_sigma).sum(1)
        kl = kl_divergence(Normal(mu, xi.exp()), Normal(before[0], before[1].exp())).sum(1)
        total = total + minus_log_p + BETA * kl
    return (total / steps).mean() * 256 / x.shape[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("steps", "progress", "limits"), [(1, 1.0, (7, 7, 3, 2)), (5, 1.0, (7, 7, 3, 2)), (5, 0.0, (1, 1, 1, 1)), (3, 0.051, (4, 4, 2, 1.5))]
)
def test_loss_and_gradient_are_those_of_a_plain_implementation(made, name, steps, progress, limits):
    model = made(name, family_options__steps=steps)
    images, named = some_images(), dict(model.named_parameters())
    loss = loss_of(model, images, progress).surrogate
    plain = plain_free_energy(named, images, steps, limits, name.endswith("relu"))
    assert float(loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-12)
    found, expected = (torch.autograd.grad(value, list(named.values())) for value in (loss, plain))
    for which, one, other in zip(named, found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-10), which
        assert one.abs().max() > 0, which


def test_the_kl_is_that_of_torch():
    q, p = (GaussianStep(noise(i, (4, 3)), 0.5 * noise(i + 1, (4, 3))) for i in (0, 2))
    assert torch.allclose(gaussian_kl(q, p), kl_divergence(Normal(q.loc, q.scale), Normal(p.loc, p.scale)), atol=1e-12)


def test_the_density_of_a_gained_rectified_draw_integrates_to_one_less_its_mass_at_zero():
    gain = torch.tensor([2.5], dtype=torch.float64)
    q = RectifiedStep(torch.tensor([[0.3]], dtype=torch.float64), torch.tensor([[0.1]], dtype=torch.float64), gain)
    z = torch.linspace(1e-9, 30, 200_001, dtype=torch.float64)[:, None, None]
    density = float(torch.trapezoid(q.log_prob(z).exp().flatten(), z.flatten()))
    assert density + float(q.log_prob(torch.zeros(1, 1, dtype=torch.float64)).exp()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "dataset", "gain", "parameters"),
    [
        ("iterative_gaussian", "van_hateren", None, 132_866),
        ("iterative_gaussian+relu", "van_hateren", True, 133_378),
        ("iterative_gaussian", "mnist", None, 403_730),
        ("iterative_gaussian+relu", "mnist", False, 403_730),
    ],
)
def test_it_has_as_many_parameters_as_the_published_model(make_run, registry, name, dataset, gain, parameters):
    run = make_run(**{**SETTINGS, "family": name, "dataset": dataset, "latent_dim": 512, "dtype": "float32", "family_options__gain": gain}).run
    model = build_model(assemble(run, registry), 1, "cpu", torch.float32)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
