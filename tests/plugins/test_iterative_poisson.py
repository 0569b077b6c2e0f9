"""`iterative_poisson`: steps, loss and gradient against a plain implementation in float64, divergences by summation, limits, n_exp."""

import math
from types import MethodType

import numpy as np
import pytest
import torch
from latentbench_iterative.arrivals import FIRST, REFRESH, StepArrivals, arrivals_for
from latentbench_iterative.natural_gradient import annealed
from latentbench_iterative.poisson import poisson_kl
from scipy import stats

from latentbench.models.model import build_model
from latentbench.models.objective import Step
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

SETTINGS = {
    "family": "iterative_poisson",
    "estimator": None,
    "encoder": None,
    "dtype": "float64",
    "likelihood_options__variance": "pixel",
    "training__temperature_start": 1.0,
    "training__temperature_stop": 0.01,
}
TEMPERATURE, ARRIVALS, BETA = 0.4, 12, 1.7


def _times(seed, shape):
    return (-torch.rand(ARRIVALS, *shape, dtype=torch.float64, generator=stream(seed)).log()).cumsum(0)


def relaxed(rate, seed):
    """Relaxed counts in one line: every arrival, of noise that a seed names."""
    return torch.sigmoid((1 - _times(seed, rate.shape) / rate) / TEMPERATURE).sum(0)


@pytest.fixture
def made(make_run, registry):
    def make(**changes):
        run = make_run(**{**SETTINGS, **changes}).run
        model = build_model(assemble(run, registry), run.seed, "cpu", torch.float64)
        with torch.no_grad():
            for i, parameter in enumerate(model.parameters()):
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=stream(8, i), dtype=torch.float64))
        return model

    return make


def some_images(n=3):
    return torch.randn(n, 1, 8, 8, dtype=torch.float64, generator=stream(0, "images"))


def loss_of(model, images, progress=1.0):
    """The surrogate, with draws that are numbered from 0 on."""
    drawn = iter(range(1000))
    model.family.draw = MethodType(lambda self, q, inference: relaxed(q.mean, next(drawn)), model.family)
    code = model.encode(images, stream(1), TEMPERATURE, progress)
    return code, model.loss(Step(images, code, model.family, model.decoder, model.likelihood, BETA, TEMPERATURE, True, stream(2)))


def plain_free_energy(parameters, images, steps, limit, published):
    """Section 3 of the specification written out: no part of latentbench, and the gradient of each step by hand."""
    phi, s, u0, b, log_eta = (
        parameters[name] for name in ("decoder.weight", "likelihood.log_scale", "family.log_r", "family.log_bias", "family.log_eta")
    )
    x, u, total = images.reshape(len(images), -1), u0.repeat(len(images), 1), 0.0
    log_sigma = 3.45 * torch.tanh(s.reshape(-1) / 3.45)
    for t in range(steps):
        z = relaxed(torch.exp(u), 2 * t)
        downhill = torch.einsum("bm,mk->bk", (x - torch.einsum("mk,bk->bm", phi, z)) / torch.exp(log_sigma) ** 2, phi)
        change = soft(torch.exp(log_eta) * downhill - torch.exp(log_eta + b), limit)
        v, u = u, soft(u + change, limit)
        z = relaxed(torch.exp(u), 2 * t + 1)
        mean = torch.einsum("mk,bk->bm", phi, z)
        minus_log_p = (0.5 * ((x - mean) / torch.exp(log_sigma)) ** 2 + log_sigma).sum(1)
        kl = torch.exp(v) - torch.exp(u) + torch.exp(u) * (u - v)
        total = total + minus_log_p + BETA * (kl * torch.exp(u - v) if published else kl).sum(1)
    return (total / steps).mean() * 256 / x.shape[1]


def soft(x, c):
    """A floor at -8, then c - ln(1 + e^(c - x))."""
    x = torch.where(x < -8, torch.full_like(x, -8.0), x)
    return c - torch.log1p(torch.exp(c - x))


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize(("steps", "progress", "limit"), [(1, 1.0, 10.0), (5, 1.0, 10.0), (5, 0.0, 2.0), (3, 0.051, 6.0)])
def test_loss_and_gradient_are_those_of_a_plain_implementation(made, steps, progress, limit, published):
    model = made(family_options__steps=steps, family_options__kl="published" if published else "exact")
    images, named = some_images(), dict(model.named_parameters())
    _, loss = loss_of(model, images, progress)
    plain = plain_free_energy(named, images, steps, limit, published)
    assert float(loss.surrogate.detach()) == pytest.approx(float(plain.detach()), rel=1e-12)
    found = torch.autograd.grad(loss.surrogate, list(named.values()))
    expected = torch.autograd.grad(plain, list(named.values()))
    for name, one, other in zip(named, found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-10), name
        assert one.abs().max() > 0, name


def test_the_floor_holds_and_passes_no_gradient(made):
    """Images far away along minus the dictionary push every log-rate down to -8."""
    model = made(family_options__steps=2)
    images = -100 * model.decoder.weight.detach().sum(1).view(1, 1, 8, 8)
    code, _ = loss_of(model, images)
    assert torch.allclose(code.path[1].log_rate, torch.full((), -8.0, dtype=torch.float64), atol=1e-6)
    assert torch.autograd.grad(code.path[1].log_rate.sum(), model.family.log_r)[0].abs().max() == 0


def test_the_kl_is_that_of_counts_by_summation():
    for rate, before in ((0.01, 0.02), (3.0, 0.5), (0.2, 8.0)):
        counts = np.arange(200)
        log_q, log_p = stats.poisson.logpmf(counts, rate), stats.poisson.logpmf(counts, before)
        stated = poisson_kl(torch.tensor(math.log(rate), dtype=torch.float64), torch.tensor(math.log(before), dtype=torch.float64))
        assert float(stated) == pytest.approx(float(np.sum(np.exp(log_q) * (log_q - log_p))), rel=1e-9)


def test_evaluations_state_the_exact_divergence_whatever_was_trained(made):
    images = some_images()
    values = []
    for kl in ("exact", "published"):
        model = made(family_options__steps=3, family_options__evaluation_steps=4, family_options__kl=kl)
        with torch.no_grad():
            code = model.encode(images, stream(1))
            costs = model.family.costs(images, code, code.mean, model.decoder(code.mean), model.likelihood, None)
        values.append(costs)
    assert list(values[0]) == ["free_energy", "path_reconstruction", "path_kl", "reconstruction", "prior_kl"]
    assert all(torch.equal(values[0][name], values[1][name]) for name in values[0])
    whole = poisson_kl(code.last.log_rate, model.family.log_r.expand(3, -1)).sum(1)
    assert torch.allclose(values[1]["prior_kl"], whole)


def test_the_loss_is_scaled_to_a_number_of_pixels(made):
    plain, scaled = (made(family_options__steps=2, family_options__loss_pixels=pixels) for pixels in (128.0, 512.0))
    one, other = (float(loss_of(model, some_images())[1].surrogate.detach()) for model in (plain, scaled))
    assert other == pytest.approx(4 * one)


def test_limits_rise_over_the_tenth_of_a_run_after_its_first_thousandth():
    assert [annealed(2.0, 10.0, progress) for progress in (0.0, 0.001, 0.101, 1.0)] == pytest.approx([2.0, 2.0, 10.0, 10.0])
    assert annealed(1.0, 7.0, 0.051) == pytest.approx(4.0)


@pytest.mark.parametrize(("rate", "n"), [(1.0, 5), (3.0, 10), (20.0, 35), (100.0, 132), (1e-4, 1), (480.0, 500), (2e4, 500)])
def test_n_exp_is_that_of_the_specification(rate, n):
    assert arrivals_for(rate, 1e-3) == n


def test_n_exp_of_each_step_follows_its_largest_rates_and_survives_storage():
    arrivals = StepArrivals(2, 1e-3)
    assert [arrivals.at(step) for step in range(3)] == [FIRST] * 3
    arrivals.observe([torch.full((4, 3), rate) for rate in (0.01, 3.0, 20.0)])
    assert [arrivals.at(step) for step in (0, 1, 2, 50)] == [1, 10, 35, 35]
    arrivals.observe([torch.full((4, 3), 1.0)] * 3)
    restored = StepArrivals(2, 1e-3)
    restored.load_state_dict(arrivals.state_dict())
    for one in (arrivals, restored):
        assert one.at(2) == 35
        one.observe([torch.full((4, 3), rate) for rate in (1.0, 5.0, 39.0)])
        assert [one.at(step) for step in range(3)] == [5, 10, 35]


def test_n_exp_is_set_after_1_2_4_batches_and_then_every_200(monkeypatch):
    arrivals, times = StepArrivals(1, 1e-3), []
    refresh = arrivals._refresh
    monkeypatch.setattr(arrivals, "_refresh", lambda: (times.append(batch), refresh()))
    for batch in range(1, 700):  # noqa: B007  # what replaces `_refresh` reads it
        arrivals.observe([torch.ones(2, 2)] * 2)
    assert times == [1, 3, 7, 15, 31, 63, 127, 255, 255 + REFRESH, 255 + 2 * REFRESH]


@pytest.mark.parametrize(("dataset", "parameters"), [("van_hateren", 132_353), ("mnist", 403_217)])
def test_it_has_as_many_parameters_as_the_published_model(make_run, registry, dataset, parameters):
    run = make_run(**{**SETTINGS, "dataset": dataset, "latent_dim": 512, "dtype": "float32"}).run
    model = build_model(assemble(run, registry), 1, "cpu", torch.float32)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(("options", "low"), [({}, -6.0), ({"family_options__first_log_rate": 0.5}, -0.5)])
def test_log_rates_of_q_0_begin_in_a_range_of_width_two(make_run, registry, options, low):
    run = make_run(**SETTINGS, latent_dim=256, **options).run
    first = build_model(assemble(run, registry), run.seed, "cpu", torch.float64).family.log_r.detach()
    assert stats.kstest(first.numpy(), stats.uniform(low, 2).cdf).pvalue > 1e-6


def test_the_published_first_log_rates_are_no_part_of_a_run_s_identity(make_run):
    assert make_run(**SETTINGS).run.id == make_run(**SETTINGS, family_options__first_log_rate=-5.0).run.id
    assert make_run(**SETTINGS).run.id != make_run(**SETTINGS, family_options__first_log_rate=0.0).run.id
