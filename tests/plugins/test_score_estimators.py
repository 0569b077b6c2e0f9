"""Score-function estimators, multi-sample bounds and ReinMax against sums over all codes, and against each other.

A mean over N independent draws is within six standard errors of what it estimates but for a probability of 2e-9 a number; each test has at most ten.
"""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from latentbench_categorical import CategoricalPosterior
from latentbench_estimators.reinmax import _backward

from latentbench.errors import UserError
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import InapplicableError, assemble
from latentbench.training.state import new_state
from latentbench.training.train import train
from tests.plugins.enumerated import BETA, errors, multi_sample, negative_elbo, sampled_elbo, tiny

N = 20_000
DISCRETE = ["poisson", "categorical"]
UNBIASED = [
    ("score", {"baseline": "none"}, negative_elbo),
    ("score", {"baseline": "running_mean", "samples": 2}, negative_elbo),
    ("score", {"baseline": "trained"}, negative_elbo),
    ("rloo", {}, negative_elbo),
    ("vargrad", {"samples": 3}, sampled_elbo),
]


@pytest.mark.parametrize("family", DISCRETE)
@pytest.mark.parametrize(("name", "options", "objective"), UNBIASED, ids=lambda value: getattr(value, "__name__", None))
def test_the_mean_gradient_is_the_enumerated_one(family, name, options, objective):
    """The second step has a baseline of the first one's costs."""
    case = tiny(family, name, **options)
    case.drawn(100)
    gradients, reported = case.drawn(N, seed=2)
    goal, _ = case.exact(objective)
    assert errors(gradients, goal) < 6
    assert float(goal.norm()) > 20 * float(gradients.std(0).max()) / math.sqrt(N)  # the comparison sees a twentieth
    assert torch.allclose(reported["kl"], case.step(1)[0].kl())


def test_enumeration_has_the_expected_loss_and_its_gradient_without_noise():
    case = tiny("categorical", "enumeration")
    gradients, reported = case.drawn(3)
    goal, value = case.exact(negative_elbo)
    assert torch.allclose(gradients, goal.expand_as(gradients))
    assert float(reported["reconstruction"][0] + BETA * reported["kl"][0]) == pytest.approx(value)
    with pytest.raises(UserError, match="estimator 'enumeration': 2 one-hot vectors of 3 have more than 8 codes"):
        tiny("categorical", "enumeration", limit=8).drawn(3)


@pytest.mark.parametrize("samples", [2, 3])
def test_vimco_has_the_enumerated_bound_and_its_gradient(samples):
    case = tiny("categorical", "vimco", samples=samples)
    gradients, reported = case.drawn(N)
    goal, bound = case.exact(multi_sample(samples))
    assert errors(gradients, goal) < 6
    assert errors(reported["multi_sample_nelbo"][:, None], bound) < 6


def test_the_enumerated_bound_tightens_with_samples():
    case = tiny("categorical", "vimco")
    bounds = [case.exact(objective)[1] for objective in (sampled_elbo, multi_sample(2), multi_sample(3))]
    assert bounds[0] > bounds[1] > bounds[2]


@pytest.mark.parametrize(("name", "family"), [("iwae", "gaussian"), ("vimco", "gaussian"), ("vimco", "poisson")])
def test_the_expected_bound_tightens_with_samples(name, family):
    """The differences are 6 standard errors or more (measured: above 15)."""
    reported = [tiny(family, name, samples=samples).drawn(N)[1]["multi_sample_nelbo"] for samples in (2, 4, 16)]
    for loose, tight in pairwise(reported):
        error = math.hypot(float(loose.std()), float(tight.std())) / math.sqrt(N)
        assert float(loose.mean() - tight.mean()) > 6 * error


def quadrature(step):
    """-E ln (w_1 + w_2) / 2 of one Gaussian dimension, by 60 Hermite nodes a sample."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    noise, weight = torch.tensor(nodes)[:, None, None], torch.tensor(weights / weights.sum())
    z = step.posterior.mean + step.posterior.variance.sqrt() * noise
    log_w = (-step.reconstruction(z) - BETA * (step.log_q(z) - step.log_p(z)))[:, 0]
    both = torch.logaddexp(log_w[:, None], log_w[None]) - math.log(2)
    return -(weight[:, None] * weight[None] * both).sum()


@pytest.mark.parametrize("name", ["iwae", "vimco"])
def test_bounds_of_two_gaussian_samples_are_those_of_quadrature(name):
    case = tiny("gaussian", name, dims=1, samples=2)
    gradients, reported = case.drawn(N)
    goal, bound = case.exact(quadrature)
    assert errors(gradients, goal) < 6
    assert errors(reported["multi_sample_nelbo"][:, None], bound) < 6


@pytest.mark.parametrize("name", ["score", "rloo", "vargrad"])
@pytest.mark.parametrize("family", ["gaussian", "laplace"])
def test_densities_have_the_gradient_of_the_closed_form(name, family):
    """A linear decoder, whose loss `exact` has without samples."""
    case, closed = tiny(family, name, bent=False), tiny(family, "exact", bent=False)
    assert errors(case.drawn(N)[0], closed.drawn(1)[0][0]) < 6


@pytest.mark.parametrize("family", DISCRETE)
def test_the_others_as_a_baseline_lower_the_variance(family):
    """Four samples each; measured: below a half."""
    plain, others = (tiny(family, *name).drawn(N)[0].var(0).sum() for name in (["score"], ["rloo"]))
    without = tiny(family, "score", baseline="none", samples=4).drawn(N)[0].var(0).sum()
    assert float(others) < 0.8 * float(without)
    assert float(plain) > float(others)


def test_a_trained_baseline_tells_images_apart():
    """Two images whose costs differ by some forty nats: a network of the image explains what their common mean cannot."""
    running, trained = (variance_for_two(tiny("poisson", "score", baseline=baseline)) for baseline in ("running_mean", "trained"))
    assert trained < 0.5 * running


def variance_for_two(case):
    """The gradient's variance once the estimator has seen 60 batches of two images."""
    model, image = case.model, case.image
    images = torch.cat([image, image + 3])
    optimizer = torch.optim.Adam([*model.estimator.parameters(), torch.nn.Parameter(torch.zeros(()))], 0.05)
    for seed in range(60):
        optimizer.zero_grad()
        model.loss(repeated(case, images, 5, seed)[0]).surrogate.backward()
        optimizer.step()
    step, features = repeated(case, images, 2000, 999)
    gradients = torch.autograd.grad(model.loss(step).surrogate * 4000, features)[0]
    return float(gradients.reshape(2000, 2, -1).var(0).sum())


def repeated(case, images, times, seed):
    """A step on every image `times` times, with the features of the case for all."""
    step, features = case.step(len(images) * times, seed)
    return replace(step, images=images.repeat(times, 1, 1, 1)), features


def test_a_baseline_is_part_of_the_state_of_a_run(make_run, registry):
    run = make_run(estimator="score", estimator_options__baseline="trained").run
    state = new_state(build_model(assemble(run, registry), 1, "cpu", torch.float32), run.train_settings, 1)
    saved = state.tensors()
    names = {name for name in saved if name.startswith("model.estimator.")}
    assert names == {f"model.estimator.{name}" for name in state.model.estimator.state_dict()}
    assert {"model.estimator.running.first", "model.estimator.running.second", "model.estimator.running.weight"} < names
    assert {"model.estimator.guess.hidden.weight", "model.estimator.guess.out.weight"} < names


def test_the_history_of_a_run_has_the_bound_beside_the_terms_of_the_nelbo(make_run, registry):
    """As a mean of samples, the bound is below their negative ELBO."""
    resolved = make_run(estimator="vimco", training__steps=3)
    assembly = assemble(resolved.run, registry)
    state = new_state(build_model(assembly, 1, "cpu", torch.float32), resolved.run.train_settings, 1)
    for _ in train(state, assembly.dataset.load(cache_folder()).train, resolved.run):
        pass
    last = {name: value for _, name, value in state.history}
    assert 0 < last["multi_sample_nelbo"] < last["reconstruction"] + last["kl"]


def test_running_means_rest_in_eval_mode():
    case = tiny("poisson", "score")
    case.drawn(10)
    before = {name: value.clone() for name, value in case.model.state_dict().items()}
    case.model.eval()
    case.drawn(10, seed=3)
    assert all(torch.equal(value, before[name]) for name, value in case.model.state_dict().items())
    case.model.train()
    case.drawn(10, seed=3)
    assert not torch.equal(case.model.estimator.running.first, before["estimator.running.first"])


@pytest.mark.parametrize("bent", [False, True])
def test_reinmax_is_exact_for_a_quadratic_cost_and_nearer_than_straight_through_beyond(bent):
    """With the linear decoder the cost is quadratic in each one-hot vector. With the bent one it is biased too, but by less than half as much."""
    found, first = (tiny("categorical", name, bent=bent).drawn(10 * N)[0] for name in ("reinmax", "straight_through"))
    goal, _ = tiny("categorical", "reinmax", bent=bent).exact(negative_elbo)
    assert errors(first, goal) > 20
    if bent:
        assert float((found.mean(0) - goal).norm()) < 0.5 * float((first.mean(0) - goal).norm())
    else:
        assert errors(found, goal) < 6


def test_reinmax_has_a_gradient_where_a_probability_underflows():
    """e^-120 is 0 in float32."""
    logits = torch.tensor([[[0.0, -120.0, 1.0]]], requires_grad=True)
    p, hard = CategoricalPosterior(logits).mean[:, None], torch.tensor([[[1.0, 0.0, 0.0]]])
    (_backward(hard, p, 1.0) * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    without = torch.tensor([[[0.0, 1.0]]], requires_grad=True)
    (_backward(hard[..., ::2], without.softmax(-1), 1.0) * torch.tensor([1.0, 3.0])).sum().backward()
    assert torch.allclose(logits.grad[..., ::2], without.grad, rtol=1e-5)
    assert logits.grad[..., 1] == 0


def test_reinmax_decodes_true_samples_of_its_noise():
    case = tiny("categorical", "reinmax")
    step, _ = case.step(50)
    assert torch.equal(case.model.estimator.sample(step).detach().round(decimals=9), step.posterior.sample(stream(1, "draws")))


@pytest.mark.parametrize(
    ("estimator", "family", "reason"),
    [
        ("iwae", "poisson", "it differentiates the density of samples, and those of 'poisson' are discrete; 'vimco' is for them"),
        ("iwae", "categorical", "it differentiates the density of samples, and those of 'categorical' are discrete"),
        ("iwae", "gaussian[+]relu", "it differentiates the density of samples, and those of 'gaussian[+]relu' have atoms"),
        ("reinmax", "poisson", "it is for one-hot latents, and samples of 'poisson' are none"),
        ("enumeration", "poisson", "it is for one-hot latents, and samples of 'poisson' are none"),
        ("reinmax", "gaussian", "it is for one-hot latents, and samples of 'gaussian' are none"),
    ],
)
def test_estimators_say_where_they_do_not_apply(estimator, family, reason, make_run):
    with pytest.raises(InapplicableError, match=reason):
        make_run(estimator=estimator, family=family.replace("[+]", "+"))


@pytest.mark.parametrize(("baseline", "unread"), [("none", {"decay", "hidden"}), ("running_mean", {"hidden"}), ("trained", set())])
def test_options_of_other_baselines_make_no_other_run(baseline, unread, make_run):
    settings = {"estimator": "score", "estimator_options__baseline": baseline}
    same = make_run(**settings).run.id
    found = {"decay": 0.5, "hidden": 7}
    assert {name for name, value in found.items() if make_run(**settings, **{f"estimator_options__{name}": value}).run.id == same} == unread
