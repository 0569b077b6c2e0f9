"""Measuring a kind of run: what is estimated against what a run takes, and how evaluations are extrapolated."""

import pandas as pd
import pytest

from latentbench.execution.cost.apart import apart
from latentbench.execution.cost.measure import _extrapolated, measure
from latentbench.runner import run_suite
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

FACTOR = 3.0
"""Other work on the same core halves its speed for a while, in either of the two."""
SUITE = """\
name: timed
seeds: [1]
evaluations: [elbo, {elbo: {split: train}}]
sweeps:
  - {family: poisson, estimator: mc, dataset: digits, encoder: mlp, decoder: mlp, latent_dim: 64, training: {steps: 600, batch_size: 200}}
"""


@pytest.mark.slow
def test_a_run_takes_what_was_estimated(suite_file, tmp_path, registry):
    suite = suite_file(SUITE)
    (item,) = make_plan(load_suite(suite), registry, "cpu").runs
    found = apart(measure, item.run, item.evaluations, (), "cpu")
    assert run_suite(suite, tmp_path / "r") == 0
    (row,) = pd.read_parquet(tmp_path / "r" / "runs").to_dict("records")
    estimated = found.training(item.run) - found.setup
    assert 1 / FACTOR < estimated / row["device_seconds"] < FACTOR
    assert 0.5 < found.memory / row["peak_memory_bytes"] < 2
    assert found.share == 1
    seconds = pd.read_parquet(tmp_path / "r" / "evaluations")["seconds"].sum()
    assert 1 / FACTOR < found.evaluation / seconds < FACTOR or seconds < 0.1  # shorter ones are noise


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_run_of_few_steps_is_measured_by_those(make_run, steps):
    resolved = make_run(training__steps=steps)
    found = apart(measure, resolved.run, (), (), "cpu")
    assert found.timed == steps - 1  # the first one loads what the others have ready
    assert found.start > 0
    assert (found.start == found.setup) == (steps == 1)


@pytest.mark.parametrize(("before", "expected"), [(2.0, 2.0), (1.0, 8.0), (1.5, 5.0), (3.0, 2.0)], ids=["fixed", "linear", "mixed", "falling"])
def test_evaluations_are_extrapolated_along_a_line(before, expected):
    """From an eighth and a quarter of the images to all; a decline is taken to be noise."""
    assert _extrapolated((1 / 8, before), (1 / 4, 2.0)) == pytest.approx(expected)
