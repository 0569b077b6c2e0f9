"""ln p(x) against scipy: normal distributions, sums over counts and one-hot vectors, quadrature; bounds against exact values."""

import math

import numpy as np
import pytest
import torch
from latentbench_evaluations import bounds
from latentbench_evaluations.bounds import bound, effective_sample_size, log_weights, noise_variance
from latentbench_evaluations.exact_likelihood import enumerated, linear_gaussian
from scipy import stats
from scipy.integrate import quad
from scipy.special import logsumexp

from latentbench.models.network import dictionary_of
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

IMAGES = 8
SIX_SIGMA = 6.0
"""Standard errors that a normal number exceeds with probability 2e-9, over which tails of weights have room to be heavier than normal."""


@pytest.fixture
def made(drawn_model):
    def make(scale=0.5, **changes):
        return drawn_model(scale, IMAGES, **changes)

    return make


def images_of(trained):
    return trained.splits["validation"].images.double()


def parts(trained):
    """The dictionary and flat images, as numpy has them."""
    return dictionary_of(trained.model.decoder)[0].detach().numpy(), images_of(trained).flatten(1).numpy()


def weights(trained, samples, seed=1):
    with torch.no_grad():
        q = trained.model.encode(images_of(trained), stream(seed))
    return log_weights(trained, images_of(trained), q, samples, stream(seed + 100))


def result(registry, trained, **options):
    part = registry.evaluation("log_likelihood")
    found = part(part.options_model(**options)).evaluate(trained, stream(1))
    return {(m.name, m.index): m for m in found.metrics}, found


@pytest.mark.parametrize("variance", ["fixed", "global", "pixel"])
def test_a_linear_gaussian_model_has_the_normal_density_of_scipy(made, variance):
    trained = made(family="gaussian", likelihood="gaussian", likelihood_options__variance=variance)
    dictionary, flat = parts(trained)
    raw = 0 if variance == "fixed" else trained.model.likelihood.log_scale.detach().flatten().numpy()
    noise = 0.5 if variance == "fixed" else np.exp(2 * 3.45 * np.tanh(raw / 3.45))
    covariance = dictionary @ dictionary.T + np.diag(np.broadcast_to(noise, 64))
    expected = stats.multivariate_normal.logpdf(flat, np.zeros(64), covariance)
    assert linear_gaussian(trained, images_of(trained)).log_likelihood.numpy() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "changes",
    [{"family": "laplace"}, {"family": "gaussian", "likelihood": "student_t"}, {"family": "gaussian", "likelihood_options__variance": "decoded"}],
)
def test_other_models_have_no_normal_density(made, changes):
    trained = made(**changes)
    assert linear_gaussian(trained, images_of(trained)) is None


def test_one_hot_vectors_are_summed_over(made):
    trained = made(family="categorical", latent_dim=7)
    dictionary, flat = parts(trained)
    each = stats.norm.logpdf(flat[:, None], dictionary.T[None], math.sqrt(0.5)).sum(-1)
    found = enumerated(trained, images_of(trained), torch.zeros(IMAGES), 1e-3, 7)
    assert found.log_likelihood.numpy() == pytest.approx(logsumexp(each, axis=1) - math.log(7), rel=1e-9)
    assert float(found.error.max()) == 0


def test_groups_of_one_hot_vectors_are_summed_over_together(made):
    trained = made(family="categorical", latent_dim=6, family_options__groups=2)
    dictionary, flat = parts(trained)
    pairs = [dictionary[:, i] + dictionary[:, 3 + j] for i in range(3) for j in range(3)]
    each = stats.norm.logpdf(flat[:, None], np.stack(pairs)[None], math.sqrt(0.5)).sum(-1)
    found = enumerated(trained, images_of(trained), torch.zeros(IMAGES), 1e-3, 9)
    assert found.log_likelihood.numpy() == pytest.approx(logsumexp(each, axis=1) - math.log(9), rel=1e-9)


def by_counts(trained, most):
    """ln p(x) of two Poisson latents, by a sum over `most` counts of each."""
    dictionary, flat = parts(trained)
    with torch.no_grad():
        rates = trained.model.family.prior(1).mean[0].numpy()
    z = np.stack(np.meshgrid(*[np.arange(most)] * 2, indexing="ij"), -1).reshape(-1, 2)
    log_prior = stats.poisson.logpmf(z, rates).sum(1)
    return np.array([logsumexp(log_prior + stats.norm.logpdf(x, z @ dictionary.T, math.sqrt(0.5)).sum(1)) for x in flat])


@pytest.fixture
def two_counts(made):
    trained = made(latent_dim=2, scale=0.1)
    with torch.no_grad():
        trained.model.family.log_r.copy_(torch.tensor([0.5, -1.0]))
    return trained


@pytest.mark.parametrize("tolerance", [1e-1, 1e-6])
def test_what_a_sum_over_counts_leaves_out_is_within_its_stated_error(two_counts, tolerance):
    expected = by_counts(two_counts, 60)
    found = enumerated(two_counts, images_of(two_counts), torch.as_tensor(expected), tolerance, 10_000)
    missing = expected - found.log_likelihood.numpy()
    assert (missing >= -1e-9).all()
    assert (missing <= found.error.numpy() + 1e-9).all()
    assert float(found.error.max()) <= tolerance * (1 + 1e-6)


def test_a_sum_over_too_many_counts_is_not_made(two_counts):
    assert enumerated(two_counts, images_of(two_counts), torch.as_tensor(by_counts(two_counts, 60)), 1e-3, 20) is None


def stated_error(log_w, size):
    """Of the mean over images: a multiple of its noise, and its bias, which is half the variance of the mean weight (delta method)."""
    bias = (1 / effective_sample_size(log_w, size) - 1 / size) / 2
    return SIX_SIGMA * float(noise_variance(log_w, size).sum().sqrt()) / IMAGES + 2 * float(bias.mean())


@pytest.mark.parametrize("family", ["gaussian", "categorical"])
def test_the_bound_of_5000_samples_is_the_exact_value_within_its_stated_error(made, family):
    trained = made(scale=0.1, family=family)
    images = images_of(trained)
    exact = linear_gaussian(trained, images) or enumerated(trained, images, torch.zeros(IMAGES), 1e-3, 4096)
    log_w = weights(trained, 5000)
    assert float(bound(log_w, 5000).mean()) == pytest.approx(float(exact.log_likelihood.mean()), abs=stated_error(log_w, 5000))


def test_the_bound_of_counts_is_the_sum_within_its_stated_error(two_counts):
    log_w = weights(two_counts, 5000)
    assert float(bound(log_w, 5000).mean()) == pytest.approx(float(by_counts(two_counts, 60).mean()), abs=stated_error(log_w, 5000))


def test_the_bound_of_a_laplace_latent_is_the_quadrature_within_its_stated_error(made):
    trained = made(family="laplace", latent_dim=1, scale=0.3)
    dictionary, flat = parts(trained)

    def density(x):
        at = float(dictionary[:, 0] @ x / (dictionary[:, 0] @ dictionary[:, 0]))
        peak = stats.norm.logpdf(x, dictionary[:, 0] * at, math.sqrt(0.5)).sum()
        joint = lambda z: math.exp(stats.norm.logpdf(x, dictionary[:, 0] * z, math.sqrt(0.5)).sum() - peak + stats.laplace.logpdf(z))  # noqa: E731
        return peak + math.log(quad(joint, -20, 20, points=sorted({0.0, at}), limit=200)[0])

    log_w = weights(trained, 5000)
    assert float(bound(log_w, 5000).mean()) == pytest.approx(np.mean([density(x) for x in flat]), abs=stated_error(log_w, 5000))


def test_the_variance_of_the_bound_is_that_of_independent_repetitions(made):
    trained = made(family="gaussian", scale=0.1)
    repeated = torch.stack([bound(weights(trained, 500, seed), 500) for seed in range(40)])
    stated = noise_variance(weights(trained, 500), 500).sum() / noise_variance(weights(trained, 5000), 500).sum() / 10
    assert float(repeated.var(0).sum() / noise_variance(weights(trained, 5000), 500).sum()) == pytest.approx(10, rel=0.5)
    assert float(stated) == pytest.approx(1, rel=0.5)


@pytest.mark.parametrize("family", ["gaussian", "laplace", "categorical", "poisson", "gaussian+relu", "gaussian+exp"])
def test_bounds_rise_with_the_number_of_samples(made, family):
    """In whole blocks of the same samples that is Jensen's inequality, without chance."""
    log_w = weights(made(family=family, scale=0.1), 100)
    assert (bound(log_w, 10) >= bound(log_w, 1)).all()
    assert (bound(log_w, 100) >= bound(log_w, 10)).all()
    assert (bound(log_w, 100) > bound(log_w, 1)).any()


def test_the_bound_of_one_sample_is_the_evidence_lower_bound_of_elbo(made):
    """KL and expected squared error in closed form."""
    trained = made(family="gaussian", scale=0.1)
    dictionary, flat = parts(trained)
    with torch.no_grad():
        q = trained.model.encode(images_of(trained), stream(1))
    error = ((flat - q.mean.numpy() @ dictionary.T) ** 2).sum(1) + (q.variance.numpy() * (dictionary**2).sum(0)).sum(1)
    elbo = -(error + 32 * math.log(math.pi) + q.kl(stream(1)).sum(1).numpy())
    log_w = weights(trained, 5000)
    assert float(bound(log_w, 1).mean()) == pytest.approx(elbo.mean(), abs=SIX_SIGMA * float(noise_variance(log_w, 1).sum().sqrt()) / IMAGES)


def test_chunks_bound_memory_and_change_nothing(made, monkeypatch):
    trained = made(family="gaussian", scale=0.1)
    whole, decode, sizes = weights(trained, 50), trained.model.decoder.forward, []
    monkeypatch.setattr(bounds, "CHUNK", 10 * IMAGES * 64)
    monkeypatch.setattr(trained.model.decoder, "forward", lambda z: sizes.append(len(z)) or decode(z))
    assert torch.allclose(weights(trained, 50), whole, rtol=1e-12)
    assert sizes == [10 * IMAGES] * 5


def test_the_effective_sample_size_counts_equal_weights():
    equal, one = torch.zeros(50, 1), torch.tensor([0.0, *[-1e6] * 49])[:, None]
    assert effective_sample_size(equal, 50).item() == pytest.approx(50)
    assert effective_sample_size(one, 50).item() == pytest.approx(1)


def test_the_evaluation_has_every_bound_and_the_exact_value_in_both_units(made, registry):
    metrics, outcome = result(registry, made(family="gaussian", scale=0.1), samples=[1, 10, 100])
    assert {index for name, index in metrics if name == "log_likelihood"} == {0, 1, 10, 100}
    exact = metrics["log_likelihood", 0]
    assert exact.value > metrics["log_likelihood", 10].value > metrics["log_likelihood", 1].value
    assert metrics["bits_per_dimension", 0].value == pytest.approx(-exact.value / (64 * math.log(2)))
    assert float(outcome.images[0].values.mean()) == pytest.approx(exact.value)


def test_a_part_of_the_images_is_the_same_for_every_model(made, registry):
    _, outcome = result(registry, made(family="laplace"), samples=[1, 4], images=3)
    assert outcome.arrays["measured_images"].tolist() == [0, 4, 7]
    assert outcome.arrays["log_likelihood"].shape == (3,)


def test_sparse_coders_have_none(make_run, registry):
    run = make_run(family="lca", encoder=None, estimator=None).run
    part = registry.evaluation("log_likelihood")
    assert "infers points" in part.left_out(assemble(run, registry), part.options_model())
