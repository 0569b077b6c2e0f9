"""`inference_dynamics` against numbers computed by hand, and on small models."""

import math

import pytest
import torch
from latentbench_iterative.dynamics import InferenceDynamics, InferenceDynamicsOptions, r2

from latentbench.data.dataset import Split, Splits
from latentbench.evaluation.trained import Trained
from latentbench.models.family import Inference
from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import assemble


@pytest.fixture
def trained(make_run, registry):
    """A model at initial values, with images of noise."""

    def make(family="iterative_poisson", **changes):
        run = make_run(family=family, estimator=None, encoder=None, family_options__evaluation_steps=12, **changes).run
        model = build_model(assemble(run, registry), 1, "cpu", torch.float32).eval()
        images = torch.randn(30, 1, 8, 8, generator=stream(5))
        return Trained(model, Splits(Split(images), Split(images[:20])), 1, batch_size=8)

    return make


def measured(trained, **options):
    evaluation = InferenceDynamics(InferenceDynamicsOptions(**options))
    return evaluation.evaluate(trained, stream(0))


def values(outcome, name):
    return {metric.index: metric.value for metric in outcome.metrics if metric.name == name}


def test_r2_is_about_the_mean_of_each_image():
    images = torch.tensor([[1.0, 3.0, 5.0], [2.0, 4.0, 9.0], [7.0, 7.0, 7.0]])
    decoded = torch.tensor([[1.0, 3.0, 5.0], [5.0, 5.0, 5.0], [0.0, 0.0, 0.0]])
    assert r2(images, decoded).tolist() == [1.0, 0.0, 0.0]
    assert float(r2(images[:1], images[:1] + 1)) == pytest.approx(1 - 3 / 8)


@pytest.mark.parametrize("family", ["iterative_poisson", "iterative_gaussian", "iterative_gaussian+relu"])
def test_curves_are_those_of_a_loop_over_the_steps(trained, family):
    """All images in one batch, with the evaluation's stream, step by step."""
    given = trained(family)
    given.batch_size = 20
    outcome = measured(given, times=[1, 3, 12])
    model, images = given.model, given.splits["validation"].images
    noise = stream(1, "evaluation", "inference_dynamics", "validation")
    with torch.no_grad():
        before = model.family.state(model.family.prior(20))
        for t, iterate in enumerate(model.family.infer(images, Inference(None, model.decoder, model.likelihood, noise)), 1):
            state = model.family.state(iterate.posterior)
            if t in (1, 3, 12):
                q = iterate.posterior
                z = q.sample(noise)
                explained = 1 - ((images - model.decoder(z)) ** 2).flatten(1).sum(1) / (64 * images.flatten(1).var(1, correction=0))
                assert values(outcome, "r2_per_image_at")[t] == pytest.approx(float(explained.mean()), rel=1e-4)
                assert values(outcome, "zero_fraction_at")[t] == pytest.approx(float((z == 0).float().mean()))
                assert values(outcome, "update_norm_at")[t] == pytest.approx(float((state - before).norm(dim=1).mean()), rel=1e-5)
            before = state
    zeros = float((z == 0).float().mean())
    assert values(outcome, "distance_to_corner")[None] == pytest.approx(math.hypot(1 - float(explained.mean()), 1 - zeros), rel=1e-5)
    assert values(outcome, "r2_per_image")[None] == values(outcome, "r2_per_image_at")[12]


def test_the_mean_that_is_decoded_is_the_activation_of_the_location(trained):
    given = trained("iterative_gaussian+relu")
    outcome = measured(given, times=[1], images=None)
    assert len(outcome.images[0].values) == 20
    family, noise = given.model.family, stream(1, "evaluation", "inference_dynamics", "validation")
    inference, found = Inference(None, given.model.decoder, given.model.likelihood, noise), []
    with torch.no_grad():
        for batch in given.splits["validation"].images.split(8):
            for t, iterate in enumerate(family.infer(batch, inference), 1):
                if t in (1, 12):
                    iterate.posterior.sample(noise)
            found.append(r2(batch, given.model.decoder(family.log_gain.exp() * iterate.posterior.loc.relu())))
    assert values(outcome, "r2_per_image_of_mean")[None] == pytest.approx(float(torch.cat(found).mean()), abs=1e-9)


def test_steps_and_images_are_options(trained):
    outcome = measured(trained(), steps=40, images=7)
    times = sorted(values(outcome, "r2_per_image_at"))
    assert times == [*range(1, 11), 12, 14, 17, 20, 24, 29, 35, 40]
    assert {metric.n for metric in outcome.metrics} == {7}


def test_it_needs_steps_of_inference(make_run, registry):
    assembly = assemble(make_run().run, registry)
    assert InferenceDynamics.left_out(assembly, InferenceDynamicsOptions()) == "'poisson' does not infer in steps"
