"""`latentbench budget` from the command line, on digits."""

from math import ceil
from statistics import median

import pandas as pd
import pytest

from latentbench.registry import load_registry
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

SUITE = """\
name: pair
seeds: [1, 2, 3]
evaluations: [elbo]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, estimator: mc, training: {steps: 40, batch_size: 50, warmup: 5 steps}}
sweeps: [{family: [poisson, gaussian], dataset: [digits, photo_patches]}]
leaderboard: {metric: nelbo, rows: [family], columns: [dataset]}
"""


@pytest.fixture
def suite(suite_file):
    return suite_file(SUITE)


@pytest.fixture
def budget(cli, suite, tmp_path):
    return lambda *words: cli("budget", suite, "--out", tmp_path / "seconds.yaml", "--results", tmp_path / "r", "--engine", "test_inline", *words)


def test_every_model_gets_the_steps_that_take_it_the_seconds(budget, cli, suite, tmp_path):
    assert cli("run", suite, "--results", tmp_path / "r", "--engine", "test_inline").code == 0
    answer = budget("--seconds", "0.5")
    assert answer.code == 0, answer.err
    written = tmp_path / "seconds.yaml"
    assert written.read_text().startswith("# Made by: latentbench budget ")
    plan = make_plan(load_suite(written), load_registry(), "cpu")
    assert (plan.name, len(plan.runs)) == ("pair, 0.5 s", 12)
    stored = pd.read_parquet(tmp_path / "r" / "runs")
    for item in plan.runs:
        seconds = median(stored[(stored["family"] == item.run.family) & (stored["dataset"] == item.run.dataset)]["device_seconds"])
        assert item.run.training["steps"] == ceil(40 * 0.5 / seconds)
        assert item.run.training["warmup"] == f"{5 * 0.5 / seconds:g} steps"
        assert f"{item.run.training['steps']}\n" in answer.out


def test_a_leaderboard_of_lengths_has_no_equal_seconds(budget, cli, suite_file, tmp_path):
    suite = suite_file(
        SUITE.replace("dataset: [digits, photo_patches]", "dataset: digits, training.steps: [20, 40]").replace("[dataset]", "[training.steps]")
    )
    assert cli("run", suite, "--results", tmp_path / "r", "--engine", "test_inline").code == 0
    answer = budget("--seconds", "0.5")
    assert answer.code == 2
    assert "suite.yaml:6: the leaderboard compares runs of several 'training.steps', which equal seconds decide" in answer.err


def test_what_is_not_run_yet_has_no_pace(budget, tmp_path):
    answer = budget("--seconds", "1")
    assert (answer.code, answer.out) == (2, "")
    assert "the pace of family=poisson dataset=digits is unknown, as its runs are missing" in answer.err
    assert not (tmp_path / "seconds.yaml").exists()


def test_seconds_are_a_time(budget):
    answer = budget("--seconds", "-1")
    assert answer.code == 2
    assert "--seconds" in answer.err
