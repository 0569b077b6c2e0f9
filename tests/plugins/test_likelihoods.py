"""Likelihoods against scipy.stats, finite costs at extreme parameters, training, and where they apply; the conformance kit has their laws."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import stats

from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.resolve import InapplicableError, assemble
from latentbench.training.state import new_state
from latentbench.training.train import train

REAL = {"dataset": "digits"}
COUNT = {"dataset": "digits", "dataset_options__scale": "count"}
CASES = {
    "gaussian": {**REAL, "likelihood": "gaussian"},
    **{f"gaussian-{v}": {**REAL, "likelihood": "gaussian", "likelihood_options__variance": v} for v in ("global", "pixel", "decoded")},
    "student_t": {**REAL, "likelihood": "student_t"},
    "student_t-1.5": {**REAL, "likelihood": "student_t", "likelihood_options__df": 1.5},
    "bernoulli": {"dataset": "digits_binary", "likelihood": "bernoulli"},
    "poisson": {**COUNT, "likelihood": "poisson"},
    "negative_binomial": {**COUNT, "likelihood": "negative_binomial"},
}
LEARNED = 0.3
"""Value of every learned parameter; a scale is softly limited from there."""
SCALE = math.exp(3.45 * math.tanh(LEARNED / 3.45))
every_likelihood = pytest.mark.parametrize("case", CASES)


@pytest.fixture
def made(make_run, registry):
    """The likelihood of a case, at moderate parameters, for `shape` instead of that of the data set's items."""

    def make(case, shape=None):
        run = make_run(**CASES[case]).run
        assembly = assemble(run, registry)
        if shape is not None:
            small = type("Small", (), {"data_shape": shape, "pixels": assembly.dataset.pixels, "name": "small", "labelled": False})()
            assembly = replace(assembly, dataset=small, options=assembly.options)
        likelihood = assembly.likelihood(assembly, assembly.options["likelihood"]).double()
        for parameter in likelihood.parameters():
            torch.nn.init.constant_(parameter, LEARNED)
        return likelihood, assembly

    return make


def given(assembly, case, batch=5):
    """Images and what is decoded for them."""
    decoded = 2 * torch.randn(batch, *assembly.decoded_shape, generator=stream(1), dtype=torch.float64)
    uniform = torch.rand(batch, *assembly.data_shape, generator=stream(2), dtype=torch.float64)
    return {"real": uniform, "unit": uniform, "binary": uniform.round(), "count": (20 * uniform).round()}[assembly.dataset.pixels], decoded


def reference(case, images, decoded):
    """ln p by scipy, [B]."""
    x, y = images.numpy(), decoded.numpy()
    softplus = lambda y: torch.nn.functional.softplus(torch.as_tensor(y)).numpy()  # noqa: E731
    if case == "gaussian-decoded":
        mean, raw = y[:, :1], y[:, 1:]
        by_pixel = stats.norm.logpdf(x, mean, torch.exp(3.45 * torch.tanh(torch.as_tensor(raw) / 3.45)).numpy())
    elif case.startswith("gaussian"):
        by_pixel = stats.norm.logpdf(x, y, math.sqrt(0.5) if case == "gaussian" else SCALE)
    elif case.startswith("student_t"):
        by_pixel = stats.t.logpdf(x, 1.5 if "-" in case else 4.0, y, SCALE)
    elif case == "bernoulli":
        by_pixel = stats.bernoulli.logpmf(x, 1 / (1 + torch.exp(-torch.as_tensor(y)).numpy()))
    elif case == "poisson":
        by_pixel = stats.poisson.logpmf(x, softplus(y))
    else:
        by_pixel = stats.nbinom.logpmf(x, SCALE, SCALE / (SCALE + softplus(y)))
    return torch.as_tensor(by_pixel).flatten(1).sum(1)


@every_likelihood
def test_the_log_density_is_scipy_s(case, made):
    likelihood, assembly = made(case)
    images, decoded = given(assembly, case)
    assert likelihood.log_prob(images, decoded).detach().numpy() == pytest.approx(reference(case, images, decoded).numpy(), rel=1e-10)


@every_likelihood
@pytest.mark.parametrize("size", [-1e6, -200.0, 200.0, 1e6])
def test_extreme_numbers_have_finite_costs_and_gradients(case, size, made):
    likelihood, assembly = made(case)
    likelihood.float()
    for parameter in likelihood.parameters():
        torch.nn.init.constant_(parameter, size)
    decoded = torch.full((2, *assembly.decoded_shape), size, requires_grad=True)
    for images in (torch.zeros(2, *assembly.data_shape), torch.ones(2, *assembly.data_shape)):
        cost = likelihood.reconstruction(images, decoded)
        gradients = torch.autograd.grad(cost.sum(), [decoded, *likelihood.parameters()])
        assert cost.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in gradients)


@every_likelihood
def test_training_lowers_the_cost_and_moves_the_likelihood_s_parameters(case, make_run, registry, tmp_path):
    run = make_run(**CASES[case], family="gaussian", training__steps=50, training__learning_rate=0.02, training__beta_anneal=0.0).run
    assembly = assemble(run, registry)
    data = assembly.dataset.load(Path(tmp_path)).train
    state = new_state(build_model(assembly, 1, "cpu", torch.float32), run.train_settings, 1)
    model, images = state.model, data.images[:500]

    def cost():
        with torch.no_grad():
            code = model.encode(images, stream(0))
            return float((model.likelihood.reconstruction(images, model.decoder(code.mean)) + code.kl(stream(0)).sum(1)).mean())

    before, initial = cost(), {name: value.clone() for name, value in model.likelihood.state_dict().items()}
    for _ in train(state, data, run):
        pass
    assert cost() < before
    assert all(not torch.equal(value, initial[name]) for name, value in model.likelihood.state_dict().items())
    assert {name for name in state.tensors() if name.startswith("model.likelihood.")} == {f"model.likelihood.{name}" for name in initial}


def test_models_without_a_learned_likelihood_have_the_parameters_that_were_stored_before(make_run, registry):
    model = build_model(assemble(make_run().run, registry), 1, "cpu", torch.float32)
    assert not any(name.startswith("likelihood") for name in model.state_dict())


def test_a_fixed_variance_is_the_run_that_was_stored_before_the_option_existed(make_run):
    plain = make_run(family="gaussian").run
    assert make_run(family="gaussian", likelihood_options__variance="fixed").run.id == plain.id
    assert plain.likelihood_options == {}
    assert make_run(family="gaussian", likelihood_options__variance="global").run.id != plain.id


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"likelihood": "bernoulli"}, "needs binary images, and those of 'digits' are not"),
        ({"likelihood": "poisson"}, "it needs counts, and the numbers of 'digits' are none"),
        ({"likelihood": "negative_binomial"}, "it needs counts, and the numbers of 'digits' are none"),
        ({"estimator": "exact", "likelihood_options__variance": "decoded"}, "it needs a squared error, and the likelihood 'gaussian' has none"),
        ({"estimator": "exact", "likelihood_options__variance": "global"}, "it needs a squared error, and the likelihood 'gaussian' has none"),
        ({"estimator": "exact", "likelihood": "student_t"}, "it needs a squared error, and the likelihood 'student_t' has none"),
    ],
)
def test_likelihoods_and_estimators_say_where_they_do_not_apply(changes, reason, make_run):
    with pytest.raises(InapplicableError, match=reason):
        make_run(**changes)
    assert make_run(dataset="digits_binary").run.likelihood == "bernoulli"
