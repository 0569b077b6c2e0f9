"""What a run is expected to take, from runs that were stored."""

import pytest

from latentbench.execution.speeds import SETTINGS, expected, speeds
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.suites.settings import Run

SUITE = """\
name: timed
seeds: [1]
evaluations: [elbo]
sweeps:
  - {family: gaussian, estimator: exact, dataset: digits, encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 2, batch_size: 50}}
"""
CHANGES = {
    "family": "laplace",
    "family_options": {"truncate": True},
    "estimator": "mc",
    "estimator_options": {"samples": 8},
    "dataset": "photo_patches",
    "likelihood": "bernoulli",
    "encoder": "mlp",
    "encoder_options": {"bias": True, "init_std": 0.1},
    "decoder": "mlp",
    "decoder_options": {"hidden": 400},
    "latent_dim": 8,
    "dtype": "float64",
    "compile": True,
    "device": "cuda",
    "limit_data": 0.5,
    "training": {"steps": 4},
}


@pytest.fixture(scope="module")
def timed(tmp_path_factory, registry):
    """A run that was stored, and the table of speeds with it."""
    from latentbench.runner import run_suite
    from latentbench.suites.plan import make_plan
    from latentbench.suites.suite import load_suite

    folder = tmp_path_factory.mktemp("timed")
    (folder / "suite.yaml").write_text(SUITE)
    assert run_suite(folder / "suite.yaml", folder / "results") == 0
    (item,) = make_plan(load_suite(folder / "suite.yaml"), registry, "cpu").runs
    return item.run, speeds(Snapshot.read(Store(folder / "results")))


def test_a_run_is_expected_to_take_what_one_like_it_took(timed):
    run, known = timed
    assert 0 < expected(run, known, -1.0) < 60
    other = run.model_copy(update={"seed": 9, "beta": 0.25, "protocol": "paper", "plugins": {}, "sources": {}})
    assert expected(other, known, -1.0) == expected(run, known, -1.0)


@pytest.mark.parametrize("setting", CHANGES)
def test_nothing_is_expected_of_a_run_that_differs_in_what_costs_time(timed, setting):
    run, known = timed
    other = run.model_copy(update={setting: CHANGES[setting]})
    assert expected(other, known, -1.0) == -1.0


def test_every_setting_that_may_cost_time_counts():
    """So does a field that a run gets later, unless it is said to cost none."""
    assert set(SETTINGS) == set(Run.model_fields) - {"seed", "beta", "protocol", "plugins", "sources"}
