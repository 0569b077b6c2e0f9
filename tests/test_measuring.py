"""`latentbench evaluate`: stored models are measured without their suite, as their suite would measure them."""

import json
import re
import shutil
import time

import pandas as pd
import pytest

from latentbench.evaluation.contract import Evaluation
from latentbench.execution.leases import Leases
from latentbench.results.store import Store
from tests.kit import Suite, same

SUITE = """\
name: first
seeds: [1]
evaluations: EVALUATIONS
defaults: {estimator: mc, encoder: linear, decoder: linear, latent_dim: 4, dataset: digits, training: {steps: 5, batch_size: 50}}
sweeps:
  - {family: [gaussian, laplace]}
  - {family: gaussian, dataset_options: {flat: true}}
  - {family: test_diverging}
"""
KNN = "knn(readout=mean, sizes=[20, 40], draws=2)"
AS_SUITE = "{knn: {readout: mean, sizes: [20, 40], draws: 2}}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of three runs that are measured by `elbo` alone, and one that failed."""
    from latentbench.runner import run_suite
    from latentbench.suites.launch import Launch

    folder = tmp_path_factory.mktemp("measuring")
    (folder / "suite.yaml").write_text(SUITE.replace("EVALUATIONS", "[elbo]"))
    assert run_suite(folder / "suite.yaml", folder / "r", Launch("test_inline")) == 1
    return folder / "r"


@pytest.fixture
def results(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "r")
    return tmp_path / "r"


@pytest.fixture
def evaluate(cli, results):
    def call(*words):
        return cli("evaluate", results, "--engine", "test_inline", *words)

    return call


def measured(results):
    frame = pd.read_parquet(results / "metrics")
    return frame.sort_values(["run_id", "evaluation_id", "metric", "index"]).reset_index(drop=True)


def a_run(results, **settings):
    """The id of the stored run with these settings."""
    runs = pd.read_parquet(results / "runs")
    for name, value in settings.items():
        runs = runs[runs[name] == value]
    return runs["run_id"].iloc[0]


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_numbers_and_ids_are_those_of_a_suite_that_asks_for_the_same(evaluate, results, cli, suite_file, tmp_path):
    suite = suite_file(SUITE.replace("EVALUATIONS", f"[elbo, {AS_SUITE}]"))
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 0, answer.out + answer.err
    cli("run", suite, "--results", tmp_path / "whole", "--engine", "test_inline")
    pd.testing.assert_frame_equal(measured(results), measured(tmp_path / "whole"), check_exact=True)
    assert "(3 done, 1 failed)" in cli("plan", suite, "--results", results).out


def test_nothing_is_trained_and_a_second_time_nothing_is_measured(evaluate, results):
    models = files(results / "checkpoints")
    before = pd.read_parquet(results / "runs").set_index("run_id")
    assert f"{KNN}: 3 runs to measure, 0 measured already" in evaluate("--evaluation", KNN).out
    after = pd.read_parquet(results / "runs").set_index("run_id")
    assert files(results / "checkpoints") == models
    pd.testing.assert_frame_equal(before.drop(columns="evaluated"), after.drop(columns="evaluated"))
    now = files(results)
    assert f"{KNN}: 0 runs to measure, 3 measured already" in evaluate("--evaluation", KNN).out
    assert files(results) == now


def test_the_default_of_an_option_is_the_same_evaluation(evaluate):
    assert "sparsity: 3 runs to measure, 0 measured already" in evaluate("--evaluation", "sparsity").out
    again = evaluate("--evaluation", "sparsity(split=validation)", "--evaluation", "sparsity")
    assert again.out.count("measured already") == 1
    assert "0 runs to measure, 3 measured already" in again.out


def test_only_selects_runs(evaluate, results):
    evaluate("--evaluation", "spike_counts", "--evaluation", "sparsity", "--only", "family=laplace")
    found = measured(results)
    assert set(found.loc[found["evaluation"] == "sparsity", "run_id"]) == {a_run(results, family="laplace")}


def test_runs_that_an_evaluation_does_not_apply_to_are_named_and_fail_nothing(evaluate, results):
    answer = evaluate("--evaluation", "samples")
    flat = a_run(results, dataset_options='{"flat": true}')
    assert answer.code == 0
    assert "samples: 2 runs to measure, 0 measured already" in answer.out
    assert re.search(rf"^left out: samples of 1 runs: .* \({flat}\)$", answer.out, re.MULTILINE)
    assert "left out: 1 runs: it failed, so there is no model (non-finite" in answer.out


def test_where_nothing_can_be_measured_is_an_error(evaluate, results):
    before = files(results)
    answer = evaluate("--evaluation", "samples", "--only", "dataset_options.flat=true")
    assert answer.code == 2
    assert "no run can be measured: samples of 1 runs: " in answer.err
    assert files(results) == before


def test_a_dry_run_names_the_runs_and_writes_nothing(evaluate, results):
    before = files(results)
    answer = evaluate("--evaluation", KNN, "--dry-run")
    assert answer.code == 0
    assert answer.out.count("would measure: ") == 3
    assert f"would measure: {a_run(results, family='laplace')} laplace mc digits linear|linear seed 1" in answer.out
    assert files(results) == before


def test_a_model_that_is_not_stored(evaluate, results):
    lost = a_run(results, family="laplace")
    (results / "checkpoints" / f"{lost}.safetensors").unlink()
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 1
    assert f"left out: 1 runs: its model is not stored; its suite with --force trains it again ({lost})" in answer.out
    assert f"{KNN}: 2 runs to measure" in answer.out


def test_a_part_of_another_version_measures_nothing(evaluate, registry, monkeypatch):
    stored = registry.family("laplace").version
    monkeypatch.setattr(registry.family("laplace"), "version", "99")
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 1
    assert f"left out: 1 runs: it was trained with family 'laplace' version {stored}, and version 99 is installed" in answer.out


def test_a_missing_part(evaluate, registry, monkeypatch):
    monkeypatch.delitem(registry.parts["families"], "laplace")
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 1
    assert "left out: 1 runs: unknown family 'laplace'" in answer.out


def test_data_that_are_missing(evaluate, registry, monkeypatch):
    from latentbench.errors import UserError

    def prepare(self, cache, progress):
        if self.chosen_options:
            raise UserError("the file is missing")

    monkeypatch.setattr(registry.dataset("digits"), "prepare", prepare)
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 1
    assert "left out: 1 runs: its data are missing or damaged: the file is missing" in answer.out
    assert f"{KNN}: 2 runs to measure, 0 measured already" in answer.out


def test_other_data_than_it_was_trained_on(evaluate, registry, monkeypatch):
    sources = registry.dataset("digits").sources
    monkeypatch.setattr(registry.dataset("digits"), "sources", lambda self: sources(self) | ({"digits": "more"} if self.chosen_options else {}))
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 1
    assert "left out: 1 runs: it was trained on other data: digits changed" in answer.out


def test_a_row_that_does_not_describe_its_run(evaluate, results):
    """Whose numbers would be taken for those of another run."""
    changed = a_run(results, family="laplace")
    Store(results).update_run(changed, {"seed": 77})
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 1
    assert "left out: 1 runs: its row describes the run " in answer.out
    assert changed not in set(measured(results).query("evaluation == 'knn'")["run_id"])


def stale(results, run_id):
    """Let a run be trained by other code."""
    row = pd.read_parquet(results / "runs").set_index("run_id").loc[run_id]
    sources = json.loads(row["sources"]) | {"latentbench/models/model.py": "0" * 16}
    Store(results).update_run(run_id, {"sources": json.dumps(sources)})


def test_a_stale_model_is_measured_when_that_is_accepted(evaluate, results):
    run_id = a_run(results, family="laplace")
    stale(results, run_id)
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 1
    told = "left out: 1 runs: changed since: latentbench/models/model.py; --accept stale measures it nevertheless"
    assert f"{told} ({run_id})" in answer.out
    assert evaluate("--evaluation", KNN, "--accept", "stale").code == 0
    assert run_id in set(measured(results).query("evaluation == 'knn'")["run_id"])


def test_what_other_code_has_measured_is_measured_again_on_demand(evaluate, results):
    run_id = a_run(results, family="laplace")
    store = Store(results)
    (row,) = pd.read_parquet(results / "evaluations").query("run_id == @run_id").to_dict("records")
    sources = json.loads(row["sources"]) | {"latentbench_evaluations/elbo.py": "0" * 16}
    store.write_rows("evaluations", f"{run_id}-{row['evaluation_id']}", [{**row, "sources": json.dumps(sources)}])
    answer = evaluate("--evaluation", "elbo")
    assert "elbo: 0 runs to measure, 3 measured already\n1 runs were measured by other code; --refresh stale measures" in answer.out
    assert "elbo: 1 runs to measure, 2 measured already" in evaluate("--evaluation", "elbo", "--refresh", "stale").out
    assert "elbo: 0 runs to measure, 3 measured already" in evaluate("--evaluation", "elbo", "--refresh", "stale").out


def test_a_failure_is_stored_and_is_not_forgotten_by_another_evaluation(evaluate, results, tmp_path, monkeypatch):
    (tmp_path / "breaks").touch()
    monkeypatch.setenv("LATENTBENCH_TEST_FRAGILE", str(tmp_path / "breaks"))
    words = ("--only", "family=laplace", "--evaluation")
    answer = evaluate(*words, "test_fragile")
    assert answer.code == 1
    assert "FAILED evaluation test_fragile: RuntimeError: fragile" in answer.out
    held_back = evaluate(*words, KNN)
    assert held_back.code == 2
    assert "1 runs: it has failed (evaluation test_fragile: RuntimeError: fragile); --retry evaluation measures it" in held_back.err
    (tmp_path / "breaks").unlink()
    assert evaluate(*words, "test_fragile", "--retry", "evaluation").code == 0
    assert evaluate(*words, KNN).code == 0


def test_a_run_that_another_process_works_on_is_left_to_it(evaluate, results):
    """The engine of this test does not wait; that of `run` does."""
    busy = a_run(results, family="laplace")
    assert Leases(results / "leases").acquire(busy)
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 1
    assert "1 runs are not done, and no process works on them; the same command continues them" in answer.out
    assert busy not in set(measured(results).query("evaluation == 'knn'")["run_id"])
    assert len(set(measured(results).query("evaluation == 'knn'")["run_id"])) == 2


def test_a_folder_with_the_queue_of_another_suite(evaluate, results, make_run):
    """Its runs are not begun, and its file stays."""
    from latentbench.execution.job import Job
    from latentbench.execution.queue import enqueue, waiting

    other = make_run(seed=5).run
    enqueue(results, "another", [Job(other, ())], detached=True)
    assert evaluate("--evaluation", KNN).code == 0
    assert set(waiting(results)) == {other.id}
    assert not (results / "runs" / f"{other.id}.parquet").exists()


def test_an_evaluation_that_needs_models_that_were_not_kept(evaluate, registry, monkeypatch):
    sparsity = registry.evaluation("sparsity")
    assert issubclass(sparsity, Evaluation)
    monkeypatch.setattr(sparsity, "checkpoints", classmethod(lambda cls, options: (0.5, 1.0)))
    answer = evaluate("--evaluation", "sparsity", "--evaluation", KNN)
    assert answer.code == 1
    assert "left out: sparsity of 3 runs: it needs the model after the shares 0.5 of its training, which were not kept" in answer.out


def test_the_engine_of_processes_measures_too(cli, results):
    """That of `latentbench run`, with leases and a queue file that is gone in the end."""
    answer = cli("evaluate", results, "--cpus", "1", "--evaluation", "spike_counts", "--evaluation", KNN, "--only", "family=laplace")
    assert answer.code == 0, answer.out
    assert "[1/1] laplace mc digits linear|linear seed 1: done" in answer.out
    assert set(measured(results).query("evaluation == 'knn'")["run_id"]) == {a_run(results, family="laplace")}
    assert not list((results / "queue").glob("*"))
    assert not list((results / "leases").glob("*.json"))


def test_a_name_that_a_stranger_stored_moves_no_cursor(evaluate, results):
    """The protocol is no part of an id, and tells runs apart."""
    Store(results).update_run(a_run(results, dataset_options='{"flat": true}'), {"protocol": "\x1b[2Jowned"})
    answer = evaluate("--evaluation", KNN)
    assert answer.code == 0
    assert "owned" in answer.out
    assert "\x1b" not in answer.out


@pytest.mark.slow
def test_an_interrupted_evaluate_is_continued_by_the_same_command(tmp_path):
    """With the numbers that an undisturbed one has."""
    suite = Suite(tmp_path / "s")
    assert suite.finish()[0] == 0
    shutil.copytree(suite.folder / "results", tmp_path / "undisturbed")
    words = ("evaluate", "--evaluation", "shattering", "--cpus", "1")
    process = suite.call(*words[:1], "results", *words[1:])
    deadline = time.monotonic() + 120
    metrics = suite.folder / "results" / "metrics"
    while not list(metrics.glob("*-shattering-*.parquet")) and time.monotonic() < deadline:  # what is being written ends in .tmp
        time.sleep(0.05)
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130, out
    assert "the same command resumes" in out
    assert not suite.wait_until_gone()
    before = len(list(metrics.glob("*-shattering-*.parquet")))
    assert 0 < before < 12
    again = suite.call(*words[:1], "results", *words[1:])
    out, _ = again.communicate(timeout=300)
    assert again.returncode == 0, out
    assert f"shattering: {12 - before} runs to measure, {before} measured already" in out
    assert suite.call(*words[:1], str(tmp_path / "undisturbed"), *words[1:]).wait(timeout=300) == 0
    assert same(suite.folder / "results", tmp_path / "undisturbed")
