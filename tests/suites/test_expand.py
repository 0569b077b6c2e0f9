"""Combinations of a sweep that differ in their seed alone are one resolution, whatever comes of it."""

import pytest

from latentbench.errors import UserError
from latentbench.registry import load_registry
from latentbench.suites.plan import make_plan
from latentbench.suites.resolve import resolve
from latentbench.suites.suite import load_suite

SUITE = """\
name: seeds
defaults: {encoder: linear, decoder: linear, dataset: digits, training: {steps: 3}}
sweeps:
  - {family: [gaussian, poisson], estimator: mc, seed: SEEDS}
"""


def plan(tmp_path, seeds):
    path = tmp_path / "seeds.yaml"
    path.write_text(SUITE.replace("SEEDS", seeds))
    return make_plan(load_suite(path), load_registry(), "cpu")


def test_runs_of_other_seeds_are_what_they_are_by_themselves(tmp_path):
    runs = [item.run for item in plan(tmp_path, "[3, 1, 2]").runs]
    assert {(run.family, run.seed) for run in runs} == {(family, seed) for family in ("gaussian", "poisson") for seed in (3, 1, 2)}
    for run in runs:
        settings = {"estimator": "mc", "dataset": "digits", "encoder": "linear", "decoder": "linear", "training.steps": 3}
        alone = resolve({**settings, "family": run.family, "seed": run.seed}, load_registry(), "cpu").run
        assert (alone.id, alone) == (run.id, run)


@pytest.mark.parametrize("seeds", ["[1, -1]", "[1, true]", "[1, 0.5]", f"[1, {2**63}]", "[1, one]"])
def test_a_seed_that_is_none_is_refused_after_one_that_is(tmp_path, seeds):
    with pytest.raises(UserError, match=r"seeds.yaml:4: seed"):
        plan(tmp_path, seeds)
