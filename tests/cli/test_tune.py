"""`latentbench tune` from the command line, on digits."""

import pandas as pd
import pytest

from latentbench.execution.work import Work
from latentbench.registry import load_registry
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

SUITE = """\
name: two
seeds: [1, 2]
evaluations: [elbo, sparsity]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, estimator: mc, training: {steps: 8, batch_size: 50, learning_rate: 0.0001}}
sweeps: [{family: [poisson, FAMILY], dataset: digits}]
leaderboard: {metric: nelbo, rows: [family]}
tune:
  evaluations: [elbo]
  models: [family]
  trials: 3
  space:
    training.learning_rate: {low: 0.001, high: 0.02, log: true}
"""


@pytest.fixture
def suite(suite_file):
    return suite_file(SUITE.replace("FAMILY", "gaussian"))


@pytest.fixture
def tune(cli, suite, tmp_path):
    return lambda *words: cli("tune", suite, "--out", tmp_path / "tuned.yaml", "--results", tmp_path / "r", "--engine", "test_inline", *words)


def values(folder):
    """By family and learning rate, the value of every trial."""
    runs, metrics = (pd.read_parquet(folder / table) for table in ("runs", "metrics"))
    merged = metrics[metrics["metric"] == "nelbo"].merge(runs[["run_id", "family", "training", "seed"]], on="run_id")
    assert set(merged["seed"]) == {101}
    assert set(merged["split"]) == {"validation"}
    return {family: dict(zip(rows["training"], rows["value"], strict=True)) for family, rows in merged.groupby("family")}


def test_a_suite_is_tuned_and_its_best_settings_are_those_of_the_stored_runs(tune, cli, tmp_path):
    answer = tune()
    assert answer.code == 0, answer.err
    assert "round 3 of 3, a trial of each of 2 models" in answer.out
    tuned = tmp_path / "tuned.yaml"
    assert tuned.read_text().startswith("# Made by: latentbench tune ")
    plan = make_plan(load_suite(tuned), load_registry(), "cpu")
    assert {item.run.seed for item in plan.runs} == {1, 2}
    for family, trials in values(tmp_path / "r" / "tuning" / "two").items():
        assert len(trials) == 3
        (chosen,) = {run.training["learning_rate"] for item in plan.runs if (run := item.run).family == family}
        assert f'"learning_rate": {chosen}' in min(trials, key=trials.get)
        assert f"{min(trials.values()):.5g}" in answer.out
    assert cli("run", tuned, "--results", tmp_path / "r", "--engine", "test_inline").code == 0
    board = cli("compare", tmp_path / "r", "--metric", "nelbo", "--rows", "family")
    assert (board.code, board.out.count("n = 2")) == (0, 1)  # trials are no rows of it


def test_interrupted_it_is_continued_by_the_same_command(tune, tmp_path, monkeypatch):
    finished, ended = Work.finished, []

    def stopping(work, job, failure):
        finished(work, job, failure)
        ended.append(job.run.id)
        if len(ended) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Work, "finished", stopping)
    assert tune().code == 130
    assert not (tmp_path / "tuned.yaml").exists()
    assert tune().code == 0
    assert len(ended) == len(set(ended)) == 6
    continued = (tmp_path / "tuned.yaml").read_bytes()
    assert tune("--results", tmp_path / "calm").code == 0
    without_command = [text.partition(b"\n")[2] for text in (continued, (tmp_path / "tuned.yaml").read_bytes())]
    assert without_command[0] == without_command[1]


def test_settings_of_which_one_leaves_others_unread_are_tuned(suite_file, tune, cli, tmp_path):
    """A constant learning rate has no end of a cosine, and a suite refuses settings that no run of it reads."""
    schedules = "training.schedule: {choices: [cosine, constant]}\n    training.learning_rate_min: {low: 0.0, high: 0.0001}"
    text = SUITE.replace("FAMILY", "gaussian").replace("trials: 3", "trials: 7")
    suite_file(text.replace("training.learning_rate: {low: 0.001, high: 0.02, log: true}", schedules))
    answer = tune()
    assert answer.code == 0, answer.err
    assert cli("plan", tmp_path / "tuned.yaml").code == 0


def test_a_tuned_suite_that_cannot_be_run_is_no_success(suite_file, tune, tmp_path):
    """The suite says where a cosine ends, and the best schedule of all its models is constant."""
    text = (
        SUITE.replace("[poisson, FAMILY]", "gaussian").replace("steps: 8,", "steps: 8, learning_rate_min: 0.00001,").replace("trials: 3", "trials: 5")
    )
    suite_file(text.replace("training.learning_rate: {low: 0.001, high: 0.02, log: true}", "training.schedule: {choices: [cosine, constant]}"))
    answer = tune()
    assert answer.code == 2
    assert "tuned.yaml" in answer.err
    assert "no run of the sweep reads 'training.learning_rate_min': the settings that were found leave it without a meaning" in answer.err
    assert "training.schedule: constant" in (tmp_path / "tuned.yaml").read_text()


def test_rules_about_seeds_of_the_suite_hold_for_the_tuned_one(suite_file, tune, tmp_path):
    rules = "exclude: [{seed: 2, family: gaussian}], overrides: [{match: {seed: 1}, set: {training.batch_size: 20}}]"
    suite_file(SUITE.replace("FAMILY", "gaussian").replace("dataset: digits", f"dataset: digits, {rules}").replace("trials: 3", "trials: 1"))
    answer = tune()
    assert answer.code == 0, answer.err
    plan = make_plan(load_suite(tmp_path / "tuned.yaml"), load_registry(), "cpu")
    assert {(item.run.family, item.run.seed, item.run.training["batch_size"]) for item in plan.runs} == {
        ("poisson", 1, 20),
        ("poisson", 2, 50),
        ("gaussian", 1, 20),
    }


def test_invocations_with_other_models_replace_no_round_of_each_other(tune, tmp_path):
    """They may run at the same time, and each reads its rounds back."""
    assert tune("--only", "family=gaussian").code == 0
    rounds = {path: path.read_bytes() for path in (tmp_path / "r" / "tuning" / "two").glob("round-*.yaml")}
    assert len(rounds) == 3
    assert tune().code == 0
    assert {path: path.read_bytes() for path in rounds} == rounds


def test_a_model_whose_trials_all_fail_keeps_its_settings(suite_file, tune, tmp_path):
    suite_file(SUITE.replace("FAMILY", "test_diverging"))
    answer = tune()
    assert answer.code == 1
    assert "every trial of family=test_diverging failed: its settings are as they were" in answer.out
    text = (tmp_path / "tuned.yaml").read_text()
    assert "family: poisson" in text
    assert "family: test_diverging" not in text


@pytest.mark.parametrize(("words", "message"), [(("--trials", "0"), "'--trials'"), (("--seeds", "1"), "must not be seeds of the suite")])
def test_wrong_flags_are_refused(words, message, tune, tmp_path):
    answer = tune(*words)
    assert answer.code == 2
    assert message in answer.err
    assert not (tmp_path / "r").exists()
