"""A step with several samples an image: against its parts one by one, and an estimator of several samples against the exact gradient."""

import pytest
import torch

from latentbench.models.model import build_model
from latentbench.models.objective import Step
from latentbench.streams import stream
from latentbench.suites.resolve import assemble

S = 3


def step_of(registry, run, images):
    model = build_model(assemble(run, registry), run.seed, "cpu", torch.float64)
    code = model.encode(images, stream(0), 0.5)
    return model, Step(images, code, model.family, model.decoder, model.likelihood, 0.7, 0.5, True, stream(1))


@pytest.fixture(params=["gaussian", "categorical", "poisson"])
def step(request, make_run, registry):
    changes = {"family_options__groups": 2} if request.param == "categorical" else {}
    images = torch.rand(4, 1, 8, 8, dtype=torch.float64, generator=stream(0, "images"))
    return step_of(registry, make_run(family=request.param, dtype="float64", **changes).run, images)[1]


def test_one_sample_is_what_the_parts_give(step):
    z, reference = step.rsample(), stream(1)
    assert torch.equal(z, step.posterior.rsample(0.5, reference))
    assert torch.equal(step.sample(), step.posterior.sample(reference))
    assert torch.equal(step.decode(z), step.decoder(z))
    assert torch.equal(step.reconstruction(z), step.likelihood.reconstruction(step.images, step.decoder(z)))
    assert torch.equal(step.kl(), step.posterior.kl(reference).sum(1))


@pytest.mark.parametrize("method", ["sample", "rsample"])
def test_several_samples_are_drawn_one_after_the_other(step, method):
    z, reference = getattr(step, method)(S), stream(1)
    one = step.posterior.sample if method == "sample" else lambda generator: step.posterior.rsample(0.5, generator)
    assert z.shape == (S, 4, 6)
    assert torch.equal(z, torch.stack([one(reference) for _ in range(S)]))


@pytest.mark.parametrize("leading", [(), (S,), (2, S)])
def test_codes_may_have_any_leading_dimensions(step, leading):
    z = step.sample(S * 2)[: max(1, S * 2 if len(leading) == 2 else S if leading else 1)].reshape(*leading, 4, 6)
    flat = z.reshape(-1, 4, 6)
    for method, one in [
        (step.decode, step.decoder),
        (step.reconstruction, lambda z: step.likelihood.reconstruction(step.images, step.decoder(z))),
        (step.log_q, lambda z: step.posterior.log_prob(z).sum(1)),
        (step.log_p, lambda z: step.prior.log_prob(z).sum(1)),
    ]:
        found = method(z)
        assert torch.allclose(found.reshape(len(flat), *found.shape[len(leading) :]), torch.stack([one(part) for part in flat]))
        assert found.shape[: len(leading) + 1] == (*leading, 4)


def test_the_gradient_of_several_samples_averages_to_the_exact_one(make_run, registry):
    """Each of 60 independent batches gives the encoder's gradient once; every component of their mean is within six standard errors.

    A normal error exceeds them with probability 2e-9, one of 768 components with 1.5e-6; with 60 batches the Student t tail makes that 1e-4.
    """
    settings = {"family": "gaussian", "dtype": "float64"}
    image = torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=stream(0, "image"))
    model, exact = step_of(registry, make_run(**settings, estimator="exact").run, image)
    model.loss(exact).surrogate.backward()
    wanted = torch.cat([p.grad.flatten() for p in model.encoder.parameters()])
    rloo = make_run(**settings, estimator="test_rloo").run
    model, step = step_of(registry, rloo, image.expand(1000, -1, -1, -1))
    found = []
    for _ in range(60):
        model.zero_grad()
        model.loss(step).surrogate.backward(retain_graph=True)
        found.append(torch.cat([p.grad.flatten() for p in model.encoder.parameters()]))
    found = torch.stack(found)
    error = found.std(0) / len(found) ** 0.5
    assert bool(((found.mean(0) - wanted).abs() < 6 * error + 1e-12).all())
    assert float((found.mean(0) - wanted).norm() / wanted.norm()) < 0.1
