"""The mean of codes against closed forms."""

import math

import pytest
import torch

from latentbench.evaluation.trained import Trained
from latentbench.files import cache_folder
from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.plan import make_plan
from latentbench.suites.resolve import assemble
from latentbench.suites.suite import load_suite

BETAS = (0.01, 0.1, 0.5, 1, 1.5, 2, 4, 8)
SIZES = (32, 64, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)


def outcome(make_run, registry, family, change):
    """Of a model whose encoder gives every image the same features."""
    run = make_run(family=family).run
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch.float32).eval()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter.zero_()
        change(model)
    part = registry.evaluation("posterior_mean")
    return part(part.options_model()).evaluate(Trained(model, assembly.dataset.load(cache_folder()), run.seed), stream(1))


def test_that_of_poisson_is_its_rate(make_run, registry):
    """At features of 0 the rate is r of the prior times a residual that is softly below e^10, and that softly below e^5.3."""

    def change(model):
        model.family.log_r.copy_(torch.arange(1.0, 7).log())

    found = outcome(make_run, registry, "poisson", change)
    rates = [1 / ((1 + math.exp(-10)) / rate + math.exp(-5.3)) for rate in range(1, 7)]
    assert found.units[0].values.tolist() == pytest.approx(rates, rel=1e-5)
    assert found.metrics[0].value == pytest.approx(sum(rates) / 6, rel=1e-5)
    assert found.metrics[0].n == 360
    assert found.metrics[0].standard_error == pytest.approx(0, abs=1e-7)


def test_that_of_a_rectified_normal_is_the_half_normal_s(make_run, registry):
    found = outcome(make_run, registry, "gaussian+relu", lambda model: None)
    assert found.metrics[0].value == pytest.approx(1 / math.sqrt(2 * math.pi), rel=1e-5)


def test_the_suite_has_the_fits_that_the_authors_list(root, registry):
    plan = make_plan(load_suite(root / "suites" / "metabolic_cost.yaml"), registry, "cpu")
    runs = [item.run for item in plan.runs]
    assert {(run.family, run.beta, run.latent_dim) for run in runs} == {
        (family, beta, size) for family in ("poisson", "gaussian+relu") for beta in BETAS for size in SIZES
    }
    assert len(runs) == 176
    for run in runs:
        training = run.train_settings
        assert (run.estimator, run.dataset, run.encoder, run.decoder, run.seed) == ("mc", "van_hateren", "linear", "linear", 0)
        assert (training.epochs, training.batch_size, training.learning_rate, training.grad_clip) == (3000, 1000, 0.005, 500)
        assert (training.optimizer, training.weight_decay or 0) == ("adamax", 0)
    assert {run.train_settings.temperature_stop for run in runs if run.family == "poisson"} == {0.05}
