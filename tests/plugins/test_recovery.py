"""Recovery of known causes: perfect for the truth itself, with exact values for made matches, chance for others, and refused without truth."""

from itertools import permutations

import pytest
import torch
from latentbench_evaluations.recovery import cosines, matched, of_units, paired_correlations, shuffled

from latentbench.evaluation.trained import Trained
from latentbench.files import cache_folder
from latentbench.models.codes import PointCode
from latentbench.models.model import build_model
from latentbench.streams import stream
from latentbench.suites.plan import make_plan
from latentbench.suites.resolve import assemble
from latentbench.suites.suite import load_suite

SIZES = {"train": 20, "validation": 400, "test": 20}


def trained(make_run, registry, k, family="gaussian", **options):
    """An untrained model on `sparse_synthetic` with ten elements of 25 pixels."""
    given = {"causes": "poisson", "elements": 10, "side": 5, "noise": 0.0, **SIZES, **options}
    run = make_run(family=family, dataset="sparse_synthetic", latent_dim=k, **{f"dataset_options__{key}": value for key, value in given.items()}).run
    assembly = assemble(run, registry)
    model = build_model(assembly, run.seed, "cpu", torch.float32).eval()
    return Trained(model, assembly.dataset.load(cache_folder()), run.seed)


def measured(given, registry, codes=None, **options):
    if codes is not None:
        given.model.family.encode = lambda images, inference: PointCode(codes.float())
        given.model.family.costs = lambda *rest: {}
        given.batch_size = len(codes)
    part = registry.evaluation("recovery")
    return part(part.options_model(**options)).evaluate(given, stream(1))


def values(outcome):
    return {metric.name: metric.value for metric in outcome.metrics}


def planted(given, dictionary):
    with torch.no_grad():
        given.model.decoder.weight.copy_(dictionary)


def test_the_truth_in_another_order_and_scale_is_recovered_wholly(make_run, registry):
    given, order = trained(make_run, registry, 10), torch.randperm(10, generator=stream(2))
    planted(given, 0.3 * given.dictionary[:, order])
    outcome = measured(given, registry, given.splits["validation"].causes[:, order] * 5)
    found = values(outcome)
    assert found["dictionary_correlation"] == pytest.approx(1)
    assert found["recovered_fraction"] == 1
    assert found["cause_correlation"] == pytest.approx(1)
    assert order[outcome.arrays["unit"]].tolist() == list(range(10))


def test_elements_of_shuffled_pixels_are_recovered_by_chance_alone(make_run, registry):
    given = trained(make_run, registry, 10, side=16)
    planted(given, given.dictionary)
    found = values(measured(given, registry, given.splits["validation"].causes))
    assert found["recovered_fraction_control"] == 0
    assert 0 < found["dictionary_correlation_control"] < 0.25  # the best of ten cosines, of a standard deviation of 1/16 each


def test_non_negative_codes_of_counts_do_not_recover_negated_elements(make_run, registry):
    given = trained(make_run, registry, 10)
    planted(given, -given.dictionary)
    causes = given.splits["validation"].causes
    assert values(measured(given, registry, causes))["recovered_fraction"] == 0


def test_codes_of_both_signs_recover_negated_elements_and_their_causes(make_run, registry):
    given = trained(make_run, registry, 10)
    signs = torch.tensor([1.0, -1.0] * 5)
    planted(given, given.dictionary * signs)
    found = values(measured(given, registry, given.splits["validation"].causes * signs))
    assert found["recovered_fraction"] == 1
    assert found["cause_correlation"] == pytest.approx(1)


def test_causes_of_both_signs_leave_the_sign_of_non_negative_codes_open(make_run, registry):
    given = trained(make_run, registry, 10, causes="laplace")
    planted(given, -given.dictionary)
    found = values(measured(given, registry, given.splits["validation"].causes.abs()))
    assert found["recovered_fraction"] == 1


def test_elements_without_a_unit_count_as_missed(make_run, registry):
    given = trained(make_run, registry, 4)
    planted(given, given.dictionary[:, :4])
    outcome = measured(given, registry, given.splits["validation"].causes[:, :4])
    found = values(outcome)
    assert found["dictionary_correlation"] == pytest.approx(0.4)
    assert found["recovered_fraction"] == pytest.approx(0.4)
    assert found["cause_correlation"] == pytest.approx(0.4)
    assert sorted(outcome.arrays["unit"].tolist()) == [-1] * 6 + [0, 1, 2, 3]


def test_units_without_an_element_have_no_correlation(make_run, registry):
    given = trained(make_run, registry, 15)
    planted(given, torch.cat([given.dictionary, torch.zeros(25, 5)], 1))
    (unit,) = measured(given, registry, torch.zeros(400, 15)).units
    assert unit.values[:10].tolist() == pytest.approx([1] * 10)
    assert unit.values[10:].isnan().all()


def test_codes_that_do_not_vary_correlate_with_nothing(make_run, registry):
    given = trained(make_run, registry, 10)
    planted(given, given.dictionary)
    assert values(measured(given, registry, torch.ones(400, 10)))["cause_correlation"] == 0


@pytest.mark.parametrize("shape", [(4, 6), (5, 5), (6, 4)])
def test_the_matching_is_the_best_of_all(shape):
    cosine = 2 * torch.rand(shape, generator=stream(3), dtype=torch.float64) - 1
    rows, columns = shape
    small = cosine if rows <= columns else cosine.T
    for signed, worth in ((True, small), (False, small.abs())):
        best = max(sum(float(worth[i, j]) for i, j in enumerate(order)) for order in permutations(range(max(shape)), min(shape)))
        assert float(matched(cosine, signed).correlation.sum()) == pytest.approx(best)


def test_correlations_are_numpy_s():
    import numpy as np

    causes, codes = (torch.randn(50, 3, generator=stream(seed), dtype=torch.float64) for seed in (4, 5))
    found = paired_correlations(causes, codes, torch.tensor([2, -1, 0]))
    expected = [np.corrcoef(causes[:, 0], codes[:, 2])[0, 1], 0, np.corrcoef(causes[:, 2], codes[:, 0])[0, 1]]
    assert found.tolist() == pytest.approx(expected)


def test_shuffling_keeps_the_numbers_of_every_element():
    dictionary = torch.randn(30, 4, generator=stream(6))
    other = shuffled(dictionary, stream(7))
    assert torch.equal(other.sort(0).values, dictionary.sort(0).values)
    assert not torch.equal(other, dictionary)


def test_an_element_of_zeros_has_the_cosine_zero():
    assert cosines(torch.ones(3, 1), torch.zeros(3, 1)).tolist() == [[0.0]]
    assert of_units(matched(torch.zeros(1, 2, dtype=torch.float64), True), 2).isnan().sum() == 1


def test_data_without_truth_are_refused_with_the_reason(make_run, registry, suite_file):
    part = registry.evaluation("recovery")
    reason = part.left_out(assemble(make_run().run, registry), part.options_model())
    assert reason == "it compares a model with the causes and the dictionary of its data, and those of 'digits' are not known"
    text = "name: s\nevaluations: [recovery]\nsweeps:\n  - {family: lca, dataset: digits, decoder: linear, training: {steps: 2}}\n"
    plan = make_plan(load_suite(suite_file(text)), registry, "cpu")
    assert reason in str(plan)
