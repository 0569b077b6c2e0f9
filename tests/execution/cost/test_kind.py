"""Which runs one measurement speaks for, and when it is made again."""

from dataclasses import replace

import pytest

from latentbench.execution.cost import kind as kinds
from latentbench.execution.cost.kind import kinds_of
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

SUITE = """\
name: kinds
seeds: [1, 2]
evaluations: [elbo]
defaults: {{encoder: linear, decoder: linear, latent_dim: 4, training: {{steps: 100, batch_size: 50}}}}
sweeps:
  - {{family: poisson, estimator: mc, dataset: digits, {setting}}}
"""


@pytest.fixture
def kinds_with(suite_file, registry):
    """The kinds of the runs of a suite in which a setting has two values."""
    return lambda setting: kinds_of(make_plan(load_suite(suite_file(SUITE.format(setting=setting))), registry, "cpu").runs)


@pytest.mark.parametrize(
    "setting",
    [
        "beta: [1, 2]",
        "training: {learning_rate: [.001, .002]}",
        "training: {warmup: [.01, .02]}",
        "training: {steps: [100, 200]}",
        "training: {grad_clip: [1, 10]}",
    ],
)
def test_runs_that_differ_in_what_costs_a_step_no_time_are_of_one_kind(kinds_with, setting):
    (kind,) = kinds_with(setting)
    assert len(kind.items) == 4  # two values, two seeds


@pytest.mark.parametrize(
    "setting",
    [
        "latent_dim: [4, 8]",
        "decoder: [linear, mlp]",
        "decoder_options: {bias: [true, false]}",
        "family_options: {log_rate_limit: [5, 6]}",
        "training: {batch_size: [50, 60]}",
        "training: {optimizer: [adam, sgd]}",
        "training: {temperature_stop: [.05, .1]}",
        "training: {grad_clip: [null, 10]}",
        "training: {weight_decay: [0, .1]}",
        "limit_data: [.5, 1]",
    ],
)
def test_runs_that_differ_in_what_may_cost_time_are_of_two_kinds(kinds_with, setting):
    assert [len(kind.items) for kind in kinds_with(setting)] == [2, 2]


def test_runs_that_are_measured_otherwise_are_of_two_kinds(kinds_with):
    (kind,) = kinds_with("beta: [1, 2]")
    first, *others = kind.items
    assert [len(found.items) for found in kinds_of([replace(first, evaluations=()), *others])] == [1, 3]


def test_a_kind_is_named_by_what_costs_time(kinds_with):
    first, second = kinds_with("beta: [1, 2], training: {batch_size: [50, 60], learning_rate: [.001, .002]}")
    assert (first.label, second.label) == ("poisson mc digits linear|linear batch_size=50", "poisson mc digits linear|linear batch_size=60")


def test_another_processor_or_version_has_a_measurement_of_its_own(kinds_with, monkeypatch):
    (kind,) = kinds_with("beta: [1, 2]")
    here = kind.key("cpu")
    assert kind.key("cpu") == here
    with monkeypatch.context() as patch:
        patch.setattr(kinds, "processor", lambda: "another")
        assert kind.key("cpu") != here
    with monkeypatch.context() as patch:
        patch.setattr(kinds, "environment", lambda: {"torch": "another"})
        assert kind.key("cpu") != here
