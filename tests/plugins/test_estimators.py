"""Estimators against each other and against closed forms, and where they apply."""

import pytest
import torch

from latentbench.models.model import build_model
from latentbench.models.objective import Step
from latentbench.streams import stream
from latentbench.suites.resolve import InapplicableError, assemble

FAMILIES = ["gaussian", "laplace", "gaussian+relu", "poisson", "categorical"]


def losses(registry, run, draws, temperature=1.0, truth=False):
    """Mean reconstruction and gradient of the decoder over `draws` copies of one image."""
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch.float64)
    image = torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=stream(0, "image"))
    images = image.expand(draws, -1, -1, -1)
    step = Step(images, model.encode(images, stream(0)), model.family, model.decoder, model.likelihood, 0.7, temperature, True, stream(1))
    loss = model.loss(step)
    loss.surrogate.backward()
    return loss, model


@pytest.mark.parametrize("family", FAMILIES)
def test_monte_carlo_and_exact_agree_at_the_same_parameters(family, make_run, registry):
    """At T = 1e-3 the relaxation's bias is below the noise; the means agree within five standard errors (fails with probability 6e-7)."""
    mc, mc_model = losses(registry, make_run(family=family, dtype="float64").run, 20_000, temperature=1e-3)
    exact, exact_model = losses(registry, make_run(family=family, estimator="exact", dtype="float64").run, 1)
    assert all(torch.equal(a, b) for a, b in zip(mc_model.parameters(), exact_model.parameters(), strict=True))
    sampled = mc.reported["reconstruction"]
    error = float(sampled.std()) / len(sampled) ** 0.5
    assert abs(float(sampled.mean() - exact.reported["reconstruction"])) < 5 * error + 1e-3
    assert float(mc.reported["kl"][0]) == pytest.approx(float(exact.reported["kl"]))
    assert float(mc.surrogate.detach()) == pytest.approx(float(sampled.mean() + 0.7 * mc.reported["kl"].mean()), rel=1e-6)


def test_the_diagonal_covariance_is_larger_for_the_categorical_alone(make_run, registry):
    full, _ = losses(registry, make_run(family="categorical", estimator="exact").run, 1)
    diagonal, _ = losses(registry, make_run(family="categorical", estimator="exact", estimator_options__covariance="diagonal").run, 1)
    assert float(diagonal.surrogate.detach()) != float(full.surrogate.detach())
    same = make_run(estimator="exact", estimator_options__covariance="diagonal")
    assert same.run.id == make_run(estimator="exact").run.id
    assert "estimator_options.covariance" not in same.read


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"decoder": "test_mlp"}, "it needs a linear decoder, and 'test_mlp' is not"),
        ({"dataset": "digits_binary"}, "it needs a squared error, and the likelihood 'bernoulli' has none"),
    ],
)
def test_exact_says_where_it_does_not_apply(changes, reason, make_run):
    with pytest.raises(InapplicableError, match=reason):
        make_run(estimator="exact", **changes)


def setting(registry, run, copies, final=True, temperature=0.1):
    """A model and a step on copies of one image."""
    model = build_model(assemble(run, registry), run.seed, "cpu", torch.float64)
    image = torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=stream(0, "image"))
    images = image.expand(copies, -1, -1, -1)
    return model, Step(images, model.encode(images, stream(0)), model.family, model.decoder, model.likelihood, 0.7, temperature, final, stream(1))


def encoder_gradient(model, loss):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.encoder.parameters()), retain_graph=True)])


@pytest.mark.parametrize("family", ["poisson", "categorical"])
def test_straight_through_averages_to_the_gradient_at_the_mean(family, make_run, registry):
    """The squared error's gradient is linear in z, so its mean over samples is that at E z: what straight-through leaves out is the variance.

    Over 20,000 samples the difference is below 5 % of the gradient's norm (measured: below 2 %).
    """
    model, step = setting(registry, make_run(family=family, estimator="straight_through", dtype="float64").run, 20_000)
    sampled = encoder_gradient(model, model.loss(step).surrogate)
    posterior = step.posterior
    at_mean = step.likelihood.reconstruction(step.images, step.decoder(posterior.mean)) + 0.7 * posterior.kl(stream(0)).sum(1)
    expected = encoder_gradient(model, at_mean.mean())
    assert float((sampled - expected).norm() / expected.norm()) < 0.05


@pytest.mark.parametrize("family", ["poisson", "categorical"])
def test_straight_through_decodes_true_samples(family, make_run, registry):
    model, step = setting(registry, make_run(family=family, estimator="straight_through", dtype="float64").run, 500)
    z = model.estimator.sample(step)
    assert torch.equal(z.detach(), z.detach().round())
    assert torch.equal(z.detach(), step.posterior.sample(stream(1)))
    upstream = torch.randn(z.shape, dtype=torch.float64, generator=stream(5))
    expected = encoder_gradient(model, (step.posterior.mean * upstream).sum())
    assert torch.allclose(encoder_gradient(model, (z * upstream).sum()), expected)  # dz / d mean = 1


@pytest.mark.parametrize("family", ["poisson", "categorical"])
def test_hard_forward_decodes_the_hard_sample_with_the_relaxed_one_s_gradient(family, make_run, registry):
    model, step = setting(registry, make_run(family=family, estimator="hard_forward", dtype="float64").run, 200)
    z = model.estimator.sample(step)
    relaxed, hard = step.posterior.relaxed_and_hard(0.1, stream(1))
    assert torch.allclose(z.detach(), hard)
    assert not torch.allclose(z.detach(), relaxed.detach(), atol=1e-3)
    upstream = torch.randn(z.shape, dtype=torch.float64, generator=stream(5))
    assert torch.allclose(encoder_gradient(model, (z * upstream).sum()), encoder_gradient(model, (relaxed * upstream).sum()))


@pytest.mark.parametrize("from_start", [False, True])
def test_hard_forward_is_mc_until_annealing_is_over_unless_asked_for(from_start, make_run, registry):
    run = make_run(estimator="hard_forward", estimator_options__from_start=from_start, dtype="float64").run
    model, step = setting(registry, run, 50, final=False)
    relaxed = step.posterior.rsample(0.1, stream(1))
    assert torch.equal(model.estimator.sample(step), relaxed) is not from_start


@pytest.mark.parametrize("estimator", ["straight_through", "hard_forward"])
def test_discrete_estimators_are_for_discrete_latents(estimator, make_run):
    with pytest.raises(InapplicableError, match="it is for relaxed discrete latents, and samples of 'gaussian' have a gradient themselves"):
        make_run(estimator=estimator, family="gaussian")


def test_straight_through_has_no_temperature(make_run):
    assert not any(key.startswith("temperature") for key in make_run(estimator="straight_through").run.training)
