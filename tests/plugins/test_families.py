"""The mathematics that every registered amortised family must obey.

Statistical comparisons are at five standard errors: a true family fails one of them with probability 6e-7.
"""

import pytest
import torch

from latentbench.models.family import AmortisedFamily
from latentbench.models.model import build_model
from latentbench.models.network import dictionary_of
from latentbench.models.objective import Step
from latentbench.registry import load_registry
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

FAMILIES = sorted(name for name, part in load_registry().parts["families"].items() if issubclass(part, AmortisedFamily) and name != "test_diverging")
SAMPLES = 100_000
SIGMAS = 5.0

pytestmark = pytest.mark.parametrize("name", FAMILIES)


@pytest.fixture
def model(name, make_run, registry):
    """A model in float64, with moderate parameters."""
    run = make_run(family=name, dtype="float64").run
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch.float64)
    with torch.no_grad():
        for parameter in model.family.parameters():
            parameter.uniform_(-0.5, 0.5, generator=stream(0, "prior"))
    return model.requires_grad_(False)


@pytest.fixture
def features(model):
    """Between -1 and 0, so that scales are moderate and samples have tails that 100,000 of them show."""
    return torch.rand(4, model.family.features, dtype=torch.float64, generator=stream(0, "features")) - 1


def repeated(model, features, times):
    """The posterior of image 0, `times` times."""
    return model.family.posterior(features[:1].expand(times, -1))


def test_shapes(model, features):
    posterior = model.family.posterior(features)
    b, k = 4, model.family.latent_dim
    for value in (posterior.mean, posterior.variance, posterior.location, posterior.sample(stream(1)), posterior.rsample(0.5, stream(1))):
        assert value.shape == (b, k)
    assert posterior.kl().shape == posterior.log_prob(posterior.sample(stream(1))).shape
    assert len(posterior.representation) == b
    assert model.family.prior(3).sample(stream(1)).shape == (3, k)


def test_the_kl_is_positive_and_its_mean_the_mean_log_ratio(name, model, features):
    posterior = repeated(model, features, SAMPLES)
    prior = model.family.prior(SAMPLES)
    kl = model.family.posterior(features).kl()
    assert (kl > 0).all()
    with torch.no_grad():
        z = posterior.sample(stream(2))
        ratio = (posterior.log_prob(z) - prior.log_prob(z)).sum(1)
    expected, error = float(kl[0].sum()), float(ratio.std()) / SAMPLES**0.5
    if name == "gaussian+relu":  # the published KL is that of the Gaussian before the activation: an upper bound
        assert float(ratio.mean()) < expected + SIGMAS * error
    elif name == "poisson":  # the published KL is that of the rates before their soft limit, which lowers the posterior's by .4 % here
        assert abs(float(ratio.mean()) - expected) < SIGMAS * error + 0.01 * expected
    else:
        assert abs(float(ratio.mean()) - expected) < SIGMAS * error


def test_mean_and_variance_are_those_of_the_samples(model, features):
    with torch.no_grad():
        posterior = repeated(model, features, SAMPLES)
        z = posterior.sample(stream(3))
    mean, variance = posterior.mean[0], posterior.variance[0]
    assert ((z.mean(0) - mean).abs() < SIGMAS * (variance / SAMPLES).sqrt()).all()
    squares = (z - mean).square()
    assert ((squares.mean(0) - variance).abs() < SIGMAS * squares.std(0) / SAMPLES**0.5).all()


def test_a_decoded_sample_varies_as_stated(model, features):
    dictionary, _ = dictionary_of(model.decoder)
    with torch.no_grad():
        posterior = repeated(model, features, SAMPLES)
        deviation = ((posterior.sample(stream(4)) - posterior.mean) @ dictionary.T).square().sum(1)
        stated = posterior.decoded_variance(dictionary)[0]
    assert abs(float(deviation.mean() - stated)) < SIGMAS * float(deviation.std()) / SAMPLES**0.5


def test_the_exact_loss_is_the_mean_over_samples(name, model, features, make_run, registry):
    run = make_run(family=name, estimator="exact", dtype="float64").run
    assembly = assemble(run, registry)
    exact = assembly.estimator(assembly, assembly.options["estimator"])
    images = torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=stream(5))
    posterior = model.family.posterior(features[:1])
    step = Step(images, posterior, model.family, model.decoder, model.likelihood, 1.0, 1.0, True, stream(6))
    stated = float(exact.loss(step).reported["reconstruction"])
    with torch.no_grad():
        z = repeated(model, features, SAMPLES).sample(stream(7))
        errors = model.likelihood.reconstruction(images, model.decoder(z))
    assert abs(float(errors.mean()) - stated) < SIGMAS * float(errors.std()) / SAMPLES**0.5


def test_the_same_generator_gives_the_same_samples(model, features):
    posterior = model.family.posterior(features)
    assert torch.equal(posterior.sample(stream(8)), posterior.sample(stream(8)))
    assert torch.equal(posterior.rsample(0.5, stream(8)), posterior.rsample(0.5, stream(8)))
    before = torch.get_rng_state()
    posterior.sample(stream(9)), posterior.rsample(0.5, stream(9))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("quantity", ["rsample", "kl", "mean", "variance"])
def test_gradients_agree_with_finite_differences_at_common_noise(name, model, features, quantity):
    if name == "test_gamma" and quantity == "rsample":
        pytest.skip("torch's Gamma sampler rejects, and so jumps: its gradient is implicit")

    def value(x):
        posterior = model.family.posterior(x)
        if quantity == "rsample":
            return posterior.rsample(0.5, stream(10))
        return posterior.kl() if quantity == "kl" else getattr(posterior, quantity)

    x = features.clone().requires_grad_()
    assert torch.autograd.gradcheck(value, (x,), eps=1e-6, atol=1e-6, rtol=1e-5)


def test_a_relaxed_and_a_hard_sample_share_their_noise(model, features):
    posterior = model.family.posterior(features)
    if not model.family.relaxed:
        with pytest.raises(TypeError, match=r"not a relaxation"):
            posterior.relaxed_and_hard(0.5, stream(11))
        return
    soft, hard = posterior.relaxed_and_hard(1e-3, stream(11))
    assert (hard == hard.round()).all()
    assert float((soft - hard).abs().mean()) < 0.01
    assert torch.equal(soft, posterior.rsample(1e-3, stream(11)))
