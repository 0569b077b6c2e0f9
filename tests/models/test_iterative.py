"""Iterative families with posteriors: their fixed point in closed form, gradients through all steps, evaluation, resume, the command line."""

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch

from latentbench.models.iterative import IteratedPosterior
from latentbench.models.model import build_model
from latentbench.models.network import dictionary_of
from latentbench.models.objective import Step
from latentbench.streams import stream
from latentbench.suites.resolve import assemble
from latentbench.training.state import new_state
from latentbench.training.train import train

SETTINGS = {"family": "test_iterative", "estimator": None, "encoder": None, "dtype": "float64"}


@pytest.fixture
def made(make_run, registry):
    def make(**changes):
        run = make_run(**{**SETTINGS, **changes}).run
        return build_model(assemble(run, registry), run.seed, "cpu", torch.float64), run

    return make


def some_images(n=4):
    return torch.rand(n, 1, 8, 8, dtype=torch.float64, generator=stream(0, "images"))


def loss_of(model, images, progress=0.5):
    noise = stream(1)
    code = model.encode(images, noise, 1.0, progress)
    return model.loss(Step(images, code, model.family, model.decoder, model.likelihood, 0.7, 1.0, True, noise))


def exact_mean(model, images):
    """Of the posterior of a linear Gaussian model: (2 Phi' Phi + 1)^-1 (2 Phi' x + mu_0), as the variance of a pixel is 1/2."""
    dictionary, _ = dictionary_of(model.decoder)
    precision = 2 * dictionary.T @ dictionary + torch.eye(dictionary.shape[1], dtype=dictionary.dtype)
    return torch.linalg.solve(precision, (2 * images.flatten(1) @ dictionary + model.family.origin).T).T


def settled(model, rate=-1.5, scale=-20.0):
    with torch.no_grad():
        model.decoder.weight.normal_(std=0.1, generator=stream(2))
        model.family.origin.uniform_(-0.5, 0.5, generator=stream(3))
        model.family.log_rate.fill_(rate)
        model.family.log_scale.fill_(scale)
    return model


def test_steps_without_noise_converge_to_the_exact_posterior_mean(made):
    model, images = settled(made(family_options__evaluation_steps=400)[0]), some_images()
    with torch.no_grad():
        code = model.encode(images, stream(0))
        assert torch.allclose(code.mean, exact_mean(model, images), atol=1e-7)
        assert float((model.family.prior(4).mean - code.mean).abs().max()) > 0.1


def test_with_samples_the_mean_over_copies_is_the_exact_posterior_mean(made):
    """The dynamics are linear: over 4,000 copies of an image the mean is within five standard errors in each of 6 latents (missed: 3e-6)."""
    model, image = settled(made(family_options__evaluation_steps=200)[0], rate=-3.0, scale=-1.0), some_images(1)
    code = model.encode(image.expand(4000, -1, -1, -1), stream(0))
    deviation = code.mean.mean(0) - exact_mean(model, image)[0].detach()
    assert bool((deviation.abs() < 5 * code.mean.std(0) / 4000**0.5).all())
    assert float(code.mean.std(0).min()) > 1e-3


@pytest.mark.parametrize("likelihood", ["fixed", "pixel", "decoded"])
@pytest.mark.parametrize("decoder", ["linear", "test_mlp"])
def test_the_gradient_passes_through_all_steps(decoder, likelihood, made):
    """Directional derivatives of the loss at common noise, in every parameter, against central differences in float64."""
    if decoder == "test_mlp" and likelihood == "decoded":
        pytest.skip("the test network decodes one number a pixel")
    model, _ = made(decoder=decoder, likelihood_options__variance=likelihood, family_options__steps=5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=stream(4), dtype=torch.float64))
    images = some_images()
    loss_of(model, images).surrogate.backward()
    for name, parameter in model.named_parameters():
        direction, h = torch.randn(parameter.shape, generator=stream(5), dtype=torch.float64), 1e-5
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * h * direction)
            values.append(float(loss_of(model, images).surrogate.detach()))
            with torch.no_grad():
                parameter.sub_(sign * h * direction)
        difference = (values[0] - values[1]) / (2 * h)
        assert float((parameter.grad * direction).sum()) == pytest.approx(difference, rel=1e-5, abs=1e-7), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_loss_is_the_mean_over_steps_of_cost_and_kl_to_the_step_before(made):
    """Step by step, with the posteriors on the way."""
    model, _ = made(family_options__steps=3)
    images, seen, modes = some_images(), [], []
    update = model.family.update

    def watched(prior, x, gradient, inference):
        seen.append((prior, update(prior, x, gradient, inference)))
        modes.append(inference.progress)
        return seen[-1][1]

    model.family.update = watched
    loss = loss_of(model, images, progress=0.25)
    assert modes == [0.25] * 3
    assert all(later[0] is earlier[1] for earlier, later in pairwise(seen))
    scale = model.family.log_scale.exp()
    kls = [((after.mean - before.mean).square() / (2 * scale.square())).sum(1) for before, after in seen]
    assert torch.allclose(loss.reported["path_kl"], torch.stack(kls).mean(0))
    stated = loss.reported["path_reconstruction"] + 0.7 * loss.reported["path_kl"]
    assert float(loss.surrogate.detach()) == pytest.approx(float(stated.mean().detach()))


def test_evaluations_take_their_own_number_of_steps_and_keep_no_graph(made):
    model, _ = made(family_options__steps=3, family_options__evaluation_steps=7)
    images = some_images()
    training, evaluation = model.encode(images, stream(0), 1.0), model.encode(images, stream(0))
    assert isinstance(evaluation, IteratedPosterior)
    assert training.reconstruction.shape == training.step_kl.shape == (3, 4)
    assert evaluation.reconstruction.shape == (7, 4)
    assert training.mean.requires_grad
    assert not any(value.requires_grad for value in (evaluation.mean, evaluation.reconstruction, evaluation.step_kl))
    with torch.no_grad():
        same = model.encode(images, stream(0))
    assert torch.equal(same.mean, evaluation.mean)
    assert torch.allclose(evaluation.kl(stream(0)).sum(1), evaluation.step_kl.mean(0))
    costs = model.family.costs(images, same, same.mean, model.decoder(same.mean), model.likelihood, None)
    assert list(costs) == ["free_energy", "path_reconstruction", "path_kl", "reconstruction"]
    assert torch.allclose(costs["free_energy"], (same.reconstruction + same.step_kl).mean(0))


def test_a_run_resumes_bit_for_bit(made, registry):
    def run_to(stop, state=None):
        model, run = made(training__steps=6, dtype="float32")
        fresh = new_state(model.float(), run.train_settings, 1)
        if state is not None:
            fresh.load(state)
        data = assemble(run, registry).dataset.load(Path("unused")).train
        return next(now.tensors() for now in train(fresh, data, run) if now.step == stop)

    once, halves = run_to(6), run_to(6, run_to(3))
    assert all(torch.equal(once[name], halves[name]) for name in once if name not in ("seconds", "history"))
    assert not torch.equal(once["model.decoder.weight"], run_to(1)["model.decoder.weight"])


SUITE = """
name: iterative
seeds: [1]
evaluations: [elbo]
defaults: {decoder: linear, latent_dim: 4, training: {steps: 60, batch_size: 50, learning_rate: 0.01}}
sweeps:
  - {family: test_iterative, dataset: digits, family_options: {steps: 4, evaluation_steps: 6}}
"""


def test_the_command_line_trains_it_on_its_free_energy(cli, suite_file, tmp_path):
    answer = cli("run", suite_file(SUITE), "--results", tmp_path / "r")
    assert answer.code == 0, answer.err
    measured = pd.read_parquet(tmp_path / "r" / "metrics")
    assert {"free_energy", "path_reconstruction", "path_kl"} <= set(measured["metric"])
    assert "nelbo" not in set(measured["metric"])
    (row,) = pd.read_parquet(tmp_path / "r" / "runs").to_dict("records")
    assert row["cost"] == "free_energy"
    assert pd.isna(row["encoder"])
    assert pd.isna(row["estimator"])
    history = pd.read_parquet(tmp_path / "r" / "history").query("name == 'surrogate'").sort_values("step")["value"]
    assert history.iloc[-1] < history.iloc[0]
