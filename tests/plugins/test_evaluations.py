"""Evaluations against closed forms."""

import math

import pytest
import torch
from latentbench_evaluations.sparsity import lifetime_sparsity

from latentbench.cache import cache_folder
from latentbench.evaluation import Trained
from latentbench.model import build_model
from latentbench.resolve import assemble
from latentbench.streams import stream

N = 200_000


def trained(make_run, registry, **changes):
    run = make_run(**changes).run
    assembly, options = assemble(run, registry)
    return Trained(build_model(assembly, options, run.seed, "cpu", torch.float32).eval(), assembly.dataset().load(cache_folder()), run.seed)


def outcome(registry, name, given, **options):
    part = registry.evaluation(name)
    return part(part.options_model(**options)).evaluate(given, stream(1))


def values(result):
    return {m.name: m.value for m in result.metrics if m.index is None}


def test_lifetime_sparsity_of_extremes():
    z = torch.zeros(4, 3)
    z[0, 0] = 5.0  # responds once
    z[:, 1] = 2.0  # responds alike to all; unit 2 never does
    assert lifetime_sparsity(z).tolist() == pytest.approx([1.0, 0.0, 1.0])
    assert lifetime_sparsity(torch.tensor([[1.0], [3.0]])).item() == pytest.approx((1 - 16 / (2 * 10)) / (1 - 1 / 2))


@pytest.mark.parametrize(
    ("family", "expected"), [("gaussian", 1 - 2 / math.pi), ("laplace", 0.5), ("gaussian+relu", 1 - 1 / math.pi), ("gaussian+exp", 1 - math.exp(-1))]
)
def test_a_unit_that_ignores_its_input_has_the_sparsity_of_the_prior(family, expected, make_run, registry):
    prior = trained(make_run, registry, family=family).model.family.prior(N)
    measured = float(lifetime_sparsity(prior.sample(stream(2))).mean())
    assert measured == pytest.approx(expected, abs=0.01 if family == "gaussian+exp" else 0.004)


def test_a_poisson_unit_of_rate_r_has_lifetime_sparsity_one_over_one_plus_r():
    for rate in (0.02, 1.0, 5.0):
        z = torch.poisson(torch.full((N, 1), rate), generator=stream(3))
        assert float(lifetime_sparsity(z)) == pytest.approx(1 / (1 + rate), abs=0.01)


def test_elbo_adds_up(make_run, registry):
    given = trained(make_run, registry, family="gaussian")
    result = outcome(registry, "elbo", given)
    found = values(result)
    assert found["nelbo"] == pytest.approx(found["reconstruction"] + found["kl"], rel=1e-6)
    assert float(result.units[0].values.sum()) == pytest.approx(found["kl"], rel=1e-5)
    images, codes = given.splits["validation"].images, given.codes("validation")
    nelbo = next(m for m in result.metrics if m.name == "nelbo")
    assert nelbo.n == len(images) == 360
    assert nelbo.standard_error == pytest.approx(float(codes.costs["nelbo"].double().std()) / 360**0.5)
    error = (images - given.model.decoder(codes.mean).detach()).square().sum((1, 2, 3))
    assert found["sse_at_mean"] == pytest.approx(float(error.mean()), rel=1e-5)
    variance = (images - images.mean(0)).square().sum((1, 2, 3))
    assert found["r2"] == pytest.approx(1 - float(error.sum() / variance.sum()), rel=1e-4)


def test_the_location_error_leaves_the_activation_out(make_run, registry):
    given = trained(make_run, registry, family="gaussian+exp")
    found = values(outcome(registry, "elbo", given))
    assert found["sse_at_location"] != pytest.approx(found["sse_at_mean"], rel=0.01)


def test_a_sparse_coder_has_its_own_cost_and_no_nelbo(make_run, registry):
    given = trained(make_run, registry, family="test_lca")
    found = values(outcome(registry, "elbo", given))
    assert "nelbo" not in found
    assert found["sparse_coding_cost"] == pytest.approx(found["squared_error"] + found["penalty"], rel=1e-5)
    assert "lifetime_sparsity_prior" not in values(outcome(registry, "sparsity", given))
    run = make_run(family="test_lca")
    part = registry.evaluation("active_units")
    assert "infers points" in part.inapplicable(run.assembly, part.options_model())


def test_active_units_counts_units_above_the_threshold(make_run, registry):
    given = trained(make_run, registry, family="gaussian")
    mean = given.codes("validation").kl.double().mean(0).sort().values
    threshold = float(mean[2:4].mean())
    result = outcome(registry, "active_units", given, threshold=threshold)
    assert values(result)["active_fraction"] == pytest.approx(3 / 6)
    curve = [m for m in result.metrics if m.name == "active_fraction_at"]
    assert [m.value for m in curve] == sorted((m.value for m in curve), reverse=True)
    assert all(m.index_name == "threshold" for m in curve)


def test_codes_do_not_depend_on_what_was_measured_before(make_run, registry):
    one, other = (trained(make_run, registry) for _ in range(2))
    one.prior_samples(10), one.codes("train")
    assert torch.equal(one.codes("validation").sample, other.codes("validation").sample)
    assert one.codes("validation") is one.codes("validation")
