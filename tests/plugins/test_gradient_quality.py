"""The gradient microscope against closed forms of linear models."""

import json

import pandas as pd
import pytest
import torch
from latentbench_evaluations import gradient_quality
from latentbench_evaluations.gradient_scene import At, Scene

from latentbench.errors import UserError
from latentbench.evaluation.trained import Trained
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.evaluation_plan import buildable
from latentbench.suites.resolve import assemble

FEW = {"shares": [1.0], "images": 20, "energy_draws": 2}


@pytest.fixture
def measure(make_run, registry):
    """Measure an untrained model; the metrics by name."""

    def measured(options, **changes):
        given, part = trained(make_run, registry, **changes), registry.evaluation("gradient_quality")
        checked = part.options_model.model_validate({**FEW, **options})
        keys = [f"{kind}:{name}" for kind, name, *_ in part.builds(checked)]
        found = part(checked).evaluate(given.allowing({key: buildable(key, registry) for key in keys}), stream(1, "measured"))
        return {metric.name: metric for metric in found.metrics}

    return measured


def trained(make_run, registry, **changes):
    run = make_run(**changes).run
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch.float32)
    if hasattr(model.family, "log_r"):
        torch.nn.init.constant_(model.family.log_r, -1.0)  # rates that matter
    return Trained(model, assembly.dataset.load(cache_folder()), run.seed, read=lambda share: model.state_dict(), steps=20)


def near(metric, goal, errors=5):
    """Within five standard errors: fails with probability 6e-7."""
    return abs(metric.value - goal) < errors * metric.standard_error


@pytest.mark.parametrize(("family", "estimator"), [("poisson", "rloo"), ("poisson", "score"), ("gaussian", "mc"), ("categorical", "reinmax")])
def test_unbiased_estimators_have_no_bias_but_a_variance(measure, family, estimator):
    found = measure({"estimator": estimator, "draws": 200}, family=family)
    for group in ("", "_decoder"):
        assert near(found[f"gradient_bias{group}"], 0)
        assert found[f"gradient_variance{group}"].value > 50 * found[f"gradient_variance{group}"].standard_error / 10
        assert found[f"gradient_snr{group}"].value == pytest.approx(1 / found[f"gradient_variance{group}"].value)
        assert found[f"gradient_reference_error{group}"].value == 0
    assert ("gradient_bias_prior" in found) == (family == "poisson")  # the others have no prior that is trained


def test_the_bias_of_straight_through_is_the_activity_penalty(measure, make_run, registry):
    """Of the closed form of a linear Poisson model it misses lambda' diag(Phi' Phi) (eq. 4), whose gradient is the bias; the rest is unbiased."""
    found = measure({"estimator": "straight_through", "draws": 400, "beta": 1.0})
    model = trained(make_run, registry).model.double()
    images = trained(make_run, registry).splits["validation"].images.double()
    images = images[torch.linspace(0, len(images) - 1, 20, dtype=torch.float64).round().long()]
    rate, phi = model.encode(images, stream(0)).mean, model.decoder.weight
    error = (images.flatten(1) - model.decode_mean(rate).flatten(1)).square().sum(1)
    missing, kl = (rate @ phi.square().sum(0)).mean(), model.encode(images, stream(0)).kl(stream(0)).sum(1)
    parameters = list(model.encoder.parameters())
    bias = torch.autograd.grad(missing, parameters, retain_graph=True)
    whole = torch.autograd.grad((error + kl).mean() + missing, parameters)
    goal = sum(float(b.square().sum()) for b in bias) / sum(float(w.square().sum()) for w in whole)
    assert goal > 20 * found["gradient_bias"].standard_error
    assert near(found["gradient_bias"], goal)
    assert near(found["gradient_bias_decoder"], 0)


def test_the_exact_estimator_has_neither_bias_nor_variance(measure):
    found = measure({"estimator": "exact", "draws": 20})
    assert found["gradient_bias"].value == pytest.approx(0, abs=1e-20)
    assert found["gradient_cosine"].value == pytest.approx(1)
    assert "gradient_snr" not in found


def test_the_bias_of_relaxed_counts_falls_with_the_temperature(measure):
    hot, cold = (measure({"estimator": "mc", "temperature": temperature, "draws": 200})["gradient_bias"] for temperature in (1.0, 0.1))
    assert hot.value - cold.value > 5 * (hot.standard_error + cold.standard_error)


def test_a_long_run_measures_the_bias_that_the_closed_form_does_within_its_error(measure):
    options = {"estimator": "straight_through", "draws": 200}
    exact, long = (measure({**options, "references": references}) for references in (["exact"], ["rloo"]))
    assert long["gradient_reference_error"].value > 0
    assert abs(long["gradient_bias"].value - exact["gradient_bias"].value) < 5 * long["gradient_bias"].standard_error
    assert "gradient_noise_energy" not in long


def test_all_codes_are_the_reference_of_a_decoder_that_is_not_linear(measure):
    found = measure({"estimator": "straight_through", "draws": 50}, family="categorical", decoder="mlp")
    assert found["gradient_reference_error"].value == 0
    assert found["gradient_bias"].value > 5 * found["gradient_bias"].standard_error


def test_the_hessian_of_a_linear_decoder_is_that_of_its_quadratic_loss(make_run, registry):
    """By two derivatives of the closed form of Gaussian latents, in the decoder alone."""
    given = trained(make_run, registry, family="gaussian", estimator="exact")
    scene = Scene.of(given, given.splits["validation"].images[:10], 1.0, stream(0), {}, At(1.0, 1.0))
    exact = given.model.estimator.double()
    parameters = list(scene.decoder.parameters())
    size = sum(p.numel() for p in parameters)
    vector = torch.randn(size, generator=stream(2), dtype=torch.float64)
    first = torch.cat([g.flatten() for g in torch.autograd.grad(scene.loss(exact), parameters, create_graph=True)])
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(first @ vector, parameters)])
    before = [p.clone() for p in parameters]
    assert torch.allclose(scene.curvature(exact, "decoder")(vector), expected, rtol=1e-6, atol=1e-6 * float(expected.norm()))
    assert all(torch.equal(p, kept) for p, kept in zip(parameters, before, strict=True))


def test_a_baseline_is_trained_on_the_batch_before_it_is_measured(measure):
    variances = {b: measure({"estimator": "score", "estimator_options": {"baseline": b}}) for b in ("none", "running_mean")}
    assert variances["running_mean"]["gradient_variance"].value < 0.8 * variances["none"]["gradient_variance"].value


def test_options_of_the_family_are_changed_for_the_measurement(measure):
    """Without its cut the relaxation at T = 1 is another one."""
    cut, whole = (
        measure({"estimator": "mc", "temperature": 1.0, "family_options": {"truncate": truncate}})["gradient_bias"].value
        for truncate in (True, False)
    )
    assert cut != whole


def test_what_cannot_be_measured_is_said(measure, make_run, registry):
    with pytest.raises(UserError, match="no reference applies: estimator 'exact' does not apply: it needs a linear decoder"):
        measure({"references": ["exact"]}, decoder="mlp")
    with pytest.raises(UserError, match="estimator 'reinmax' does not apply: it is for one-hot latents"):
        measure({"estimator": "reinmax"})
    part = registry.evaluation("gradient_quality")
    coder = assemble(make_run(family="lca", estimator=None, encoder=None).run, registry)
    assert part.inapplicable(coder, part.options_model()) == "it compares gradient estimators, and 'lca' is trained without one"
    low = trained(make_run, registry)
    low.model.family.product_dtype = torch.bfloat16
    with pytest.raises(UserError, match="float32 or better"):
        Scene.of(low, low.splits["validation"].images, 1.0, stream(0), {}, At(1.0, 1.0))


def test_a_reference_that_draws_is_not_exact_though_its_draws_are_equal(measure, make_run, registry, monkeypatch):
    """Of rare counts two draws of the gradient have none but zeros."""
    monkeypatch.setattr(torch, "poisson", lambda rate, generator: torch.bernoulli(torch.zeros_like(rate), generator=generator))
    found = measure({"estimator": "rloo", "draws": 20, "reference_draws": 200}, decoder="mlp", latent_dim=2)
    assert "gradient_noise_energy" not in found
    assert found["gradient_reference_error"].value >= 0


@pytest.mark.parametrize(("device", "waits"), [("cpu", []), ("cuda:0", ["cuda:0"])])
def test_the_clock_waits_for_a_gpu(monkeypatch, device, waits):
    """Calls return before a GPU has done what they ask for."""
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: waited.append(str(device)))
    assert gradient_quality._now(torch.device(device)) > 0
    assert waited == waits


SUITE = """\
name: microscope
seeds: [1]
evaluations: [{gradient_quality: {estimator: rloo, images: 10, draws: 20, energy_draws: 2, timed: true}}]
defaults: {encoder: linear, decoder: linear, latent_dim: 3, dataset: digits, training: {steps: 20, batch_size: 50}}
sweeps:
  - {family: poisson, estimator: mc}
"""


def test_a_suite_has_the_models_of_all_shares_kept_and_measured_by_step(cli, suite_file, tmp_path):
    answer = cli("run", suite_file(SUITE), "--results", tmp_path / "r")
    assert answer.code == 0, answer.err
    metrics = pd.read_parquet(tmp_path / "r" / "metrics")
    assert set(metrics["index_name"]) == {"step"}
    assert sorted(metrics[metrics["metric"] == "gradient_bias"]["index"]) == [0, 2, 10, 20]
    assert (metrics[metrics["metric"] == "gradient_cost"]["value"] > 0).all()
    (row,) = pd.read_parquet(tmp_path / "r" / "evaluations").to_dict("records")
    assert json.loads(row["options"])["estimator"] == "rloo"


ASKED = """\
name: asked
seeds: [1]
evaluations: [{{gradient_quality: {{{options}}}}}]
sweeps:
  - {{family: poisson, estimator: mc, encoder: linear, decoder: linear, dataset: digits, latent_dim: 4, training: {{steps: 2}}}}
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("estimator_options: {samples: 1}", "options of 'rloo': samples: input should be greater than or equal to 2, got 1"),
        ("estimator_options: {sample: 2}", "options of 'rloo': unknown key 'sample'"),
        ("estimator: rlo", "unknown estimator 'rlo'"),
    ],
)
def test_wrong_options_of_the_estimator_are_named_before_anything_is_trained(cli, suite_file, tmp_path, options, message):
    answer = cli("plan", suite_file(ASKED.format(options=options)), "--results", tmp_path)
    assert answer.code == 2
    assert "evaluation 'gradient_quality'" in answer.err
    assert message in answer.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("estimator: iwae", "estimator 'iwae', which it builds: it differentiates the density of samples, and those of 'poisson' are discrete"),
        ("family_options: {relaxation: step}", "family_options: 'poisson' refuses relaxation"),
        ("family_options: {relaxed: true}", "family_options: 'poisson' refuses relaxed"),
    ],
)
def test_a_run_that_the_estimator_or_the_options_do_not_fit_is_left_out_with_the_reason(cli, suite_file, tmp_path, options, reason):
    answer = cli("plan", suite_file(ASKED.format(options=options)), "--results", tmp_path)
    assert answer.code == 0
    assert "left out: evaluation gradient_quality" in answer.out
    assert reason in answer.out
