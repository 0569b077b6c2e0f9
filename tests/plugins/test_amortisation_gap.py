"""The best posterior of a linear Gaussian model against its closed form, gradients against exact ones, and how the gap adds up."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from latentbench_evaluations import posterior_elbo
from latentbench_evaluations.posterior_elbo import Elbo, closed_form
from latentbench_evaluations.posterior_fit import Fit, optimised, refitted
from scipy import stats

from latentbench.models.network import dictionary_of
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

IMAGES = 6
FAMILIES = ["gaussian", "laplace", "categorical", "poisson", "gaussian+relu", "gaussian+exp"]
LONG = Fit(500, 0.1, 8)


@pytest.fixture
def made(drawn_model):
    def make(scale=0.2, **changes):
        return drawn_model(scale, IMAGES, **changes)

    return make


def images_of(trained):
    return trained.splits["validation"].images.double()


def features_of(trained):
    with torch.no_grad():
        return trained.model.encoder(images_of(trained))


def bounds_at(trained, features):
    with torch.no_grad():
        return Elbo(trained, images_of(trained), 1).at(features, stream(1)).numpy()


def best_diagonal(trained):
    """The largest ELBO of a linear Gaussian model with prior N(0, 1), noise 1/2 and a diagonal posterior, by linear algebra.

    With precision P = 1 + 2 Phi'Phi its mean is that of p(z | x), 2 P^-1 Phi' x, and its variances are 1 / P_kk (Bishop 2006, eq. 10.13). Then
    KL(q || p(z | x)) = (sum ln P_kk - ln det P) / 2, which is what it loses to ln p(x).
    """
    dictionary = dictionary_of(trained.model.decoder)[0].detach().numpy()
    flat = images_of(trained).flatten(1).numpy()
    log_p = stats.multivariate_normal.logpdf(flat, np.zeros(64), dictionary @ dictionary.T + 0.5 * np.eye(64))
    precision = np.eye(dictionary.shape[1]) + 2 * dictionary.T @ dictionary
    return log_p - 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])


def outcome(registry, trained, **options):
    part = registry.evaluation("amortisation_gap")
    found = part(part.options_model(steps=60, samples=200, refit_steps=20, **options)).evaluate(trained, stream(1))
    return {m.name: m for m in found.metrics}, {image.name: image.values for image in found.images}


def test_the_optimised_posterior_of_a_linear_gaussian_model_is_the_best_diagonal_one(made):
    trained = made(family="gaussian")
    best = optimised(trained, images_of(trained), features_of(trained), LONG, stream(1))
    found = bounds_at(trained, best)
    assert found == pytest.approx(best_diagonal(trained), abs=1e-4)
    assert (found <= best_diagonal(trained) + 1e-9).all()


def test_without_a_closed_form_it_is_found_from_samples(made, monkeypatch):
    trained = made(family="gaussian")
    monkeypatch.setattr(posterior_elbo, "is_closed", lambda trained: False)
    best = optimised(trained, images_of(trained), features_of(trained), LONG, stream(1))
    monkeypatch.undo()
    assert bounds_at(trained, best) == pytest.approx(best_diagonal(trained), abs=0.05)


def test_that_of_counts_is_found_from_scores(made, monkeypatch):
    trained = made(family="poisson")
    torch.nn.init.zeros_(trained.model.family.log_r)  # at the initial rates there are few counts, and little to gain
    exact = bounds_at(trained, optimised(trained, images_of(trained), features_of(trained), LONG, stream(1)))
    monkeypatch.setattr(posterior_elbo, "is_closed", lambda trained: False)
    found = optimised(trained, images_of(trained), features_of(trained), replace(LONG, draws=64), stream(1))
    monkeypatch.undo()
    assert bounds_at(trained, found) == pytest.approx(exact, abs=0.1)
    assert (bounds_at(trained, features_of(trained)) < exact - 0.5).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variance", ["fixed", "pixel"])
def test_the_closed_form_is_the_mean_over_samples(made, family, variance):
    trained = made(family=family, likelihood_options__variance=variance)
    with torch.no_grad():
        q = trained.model.family.posterior(features_of(trained))
        z = torch.stack([q.sample(generator) for generator in [stream(2)] for _ in range(4000)])
        sampled = posterior_elbo.log_likelihoods(trained, images_of(trained), z)
        exact = closed_form(trained, images_of(trained), q)
    assert (exact - sampled.mean(0)).abs().lt(6 * sampled.std(0) / 4000**0.5).all()


@pytest.mark.parametrize("family", ["poisson", "categorical", "gaussian", "laplace"])
def test_gradients_from_samples_have_the_exact_mean(made, monkeypatch, family):
    trained, draws = made(family=family), 400
    features = features_of(trained).requires_grad_()

    def gradients(seed):
        return torch.autograd.grad(Elbo(trained, images_of(trained), 8).surrogate(features, stream(seed)).sum(), features)[0]

    exact = gradients(0)
    monkeypatch.setattr(posterior_elbo, "is_closed", lambda trained: False)
    found = torch.stack([gradients(seed) for seed in range(draws)])
    assert ((found.mean(0) - exact) / (found.std(0) / draws**0.5)).abs().max() < 6


@pytest.mark.parametrize("family", FAMILIES)
def test_no_image_has_a_negative_amortisation_gap_and_the_parts_add_up(made, registry, family):
    trained = made(family=family, scale=0.1)
    metrics, images = outcome(registry, trained)
    assert (images["amortisation_gap"] >= 0).all()
    assert metrics["amortisation_gap"].value > 0
    parts = metrics["amortisation_gap"].value + metrics["approximation_gap"].value
    assert metrics["bound_gap"].value == pytest.approx(parts, rel=1e-9)
    assert metrics["bound_gap"].value == pytest.approx(metrics["amortised_nelbo"].value - metrics["negative_log_likelihood"].value, rel=1e-9)


@pytest.mark.parametrize("family", ["gaussian", "categorical"])
def test_where_the_likelihood_is_exact_no_image_has_a_negative_approximation_gap(made, registry, family):
    metrics, images = outcome(registry, made(family=family))
    assert (images["approximation_gap"] >= -1e-9).all()
    assert "proposal_sample_size" not in metrics


def test_with_a_decoder_that_bends_posteriors_are_measured_with_common_noise(made, registry):
    metrics, images = outcome(registry, made(family="gaussian", decoder="mlp"))
    assert metrics["amortisation_gap"].value > 0
    assert metrics["proposal_sample_size"].value > 1
    assert "estimator_gap" not in metrics
    assert images["amortisation_gap"].std() < images["amortised_nelbo"].std()


def test_an_encoder_that_is_trained_on_with_the_exact_gradient_gains_on_training_images_and_is_a_copy(made):
    trained = made(family="gaussian")
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    better = refitted(trained, trained.model.encoder, 100, stream(1))
    images = trained.splits["train"].images[:500].double()
    elbo = Elbo(trained, images, 1)
    with torch.no_grad():
        gain = elbo.at(better(images), stream(1)) - elbo.at(trained.model.encoder(images), stream(1))
    assert float(gain.mean()) > 1
    assert all(torch.equal(value, before[name]) for name, value in trained.model.state_dict().items())


def test_families_without_an_encoder_have_no_gap(make_run, registry):
    run = make_run(family="lca", encoder=None, estimator=None).run
    part = registry.evaluation("amortisation_gap")
    assert "'lca' has none" in part.left_out(assemble(run, registry), part.options_model())


def test_steps_whose_gradient_is_not_finite_are_not_taken(made):
    """One such step would leave the encoder not finite for good."""
    trained = made(family="gaussian+exp")
    images = trained.splits["train"].images
    images[::50] *= 1e6
    some = images[:100].double()
    gradient = torch.autograd.grad(Elbo(trained, some, 1).at(trained.model.encoder(some), stream(1)).mean(), trained.model.encoder[1].weight)[0]
    found = refitted(trained, trained.model.encoder, 30, stream(1))
    assert not gradient.isfinite().all()
    assert all(parameter.isfinite().all() for parameter in found.parameters())
