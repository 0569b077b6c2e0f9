"""`latentbench plan --why` and `--format json`: what made a run stale, or another run than the stored one."""

import json
import shutil

import pandas as pd
import pytest
import torch

from latentbench.results.store import Store
from latentbench.runner import run_suite
from latentbench.suites.launch import Launch

SUITE = """\
name: small
description: A <b>plan</b>.
seeds: [1]
evaluations: [elbo, sparsity]
defaults: {estimator: mc, encoder: linear, decoder: linear, latent_dim: 4, dataset: digits, training: {steps: 5, batch_size: 50}}
sweeps:
  - {family: [gaussian, laplace]}
  - {family: [gaussian, poisson], estimator: exact}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder in which all runs of the suite are done."""
    folder = tmp_path_factory.mktemp("plans")
    (folder / "suite.yaml").write_text(SUITE)
    assert run_suite(folder / "suite.yaml", folder / "r", Launch("test_inline")) == 0
    return folder / "r"


@pytest.fixture
def plan(done, cli, suite_file, tmp_path):
    """`latentbench plan` of the suite on a copy of that folder."""
    suite = suite_file(SUITE)
    shutil.copytree(done, tmp_path / "r")

    def call(*words):
        return cli("plan", suite, "--results", tmp_path / "r", *words)

    call.store = Store(tmp_path / "r")
    return call


def run_of(plan, **settings):
    runs = pd.read_parquet(plan.store.path / "runs")
    for name, value in settings.items():
        runs = runs[runs[name] == value]
    return runs.iloc[0]


def other_sources(row, *files):
    return json.dumps(json.loads(row["sources"]) | dict.fromkeys(files, "0" * 16))


def test_nothing_keeps_a_run_from_being_done(plan):
    assert plan("--why").out == plan().out
    found = json.loads(plan("--format", "json").out)
    assert {run["state"] for run in found["runs"]} == {"done"}
    assert not any(run["why"] for run in found["runs"])


def test_every_source_file_that_has_changed_since_a_training_is_named(plan):
    row = run_of(plan, family="laplace")
    files = sorted(json.loads(row["sources"]))[:7]
    plan.store.update_run(row["run_id"], {"sources": other_sources(row, *files)})
    out = plan("--why").out
    assert f"1 stale: training: {', '.join(files)} changed since\n    {row['run_id']}" in out
    (told,) = [run for run in json.loads(plan("--format", "json").out)["runs"] if run["state"] == "stale"]
    assert told["id"] == row["run_id"]
    assert told["why"][0] == f"training: {', '.join(files)} changed since"


def test_the_evaluation_whose_sources_have_changed_is_named(plan):
    row = run_of(plan, family="laplace")
    evaluations = pd.read_parquet(plan.store.path / "evaluations")
    (measured,) = evaluations[(evaluations["run_id"] == row["run_id"]) & (evaluations["evaluation"] == "sparsity")].to_dict("records")
    changed = {**measured, "sources": other_sources(measured, "latentbench_evaluations/sparsity.py")}
    plan.store.write_rows("evaluations", f"{row['run_id']}-{measured['evaluation_id']}", [changed])
    assert f"1 stale: evaluation sparsity: latentbench_evaluations/sparsity.py changed since\n    {row['run_id']}" in plan("--why").out
    (told,) = [run for run in json.loads(plan("--format", "json").out)["runs"] if run["state"] == "stale"]
    assert [evaluation["title"] for evaluation in told["outdated"]] == ["sparsity"]


def test_the_part_whose_version_was_raised_is_named(plan, registry, monkeypatch):
    """The run of the new version is another run, of which nothing is stored."""
    stored = registry.family("laplace").version
    monkeypatch.setattr(registry.family("laplace"), "version", "99")
    assert f"1 missing: it is stored with family 'laplace' of version {stored}, which is of version 99 now" in plan("--why").out


def test_data_files_that_have_changed_are_named(plan, registry, monkeypatch):
    from latentbench.suites.resolve import _sources

    sources = registry.dataset("digits").sources
    monkeypatch.setattr(registry.dataset("digits"), "sources", lambda self: sources(self) | {"more.gz": "1"})
    _sources.cache_clear()
    out = plan("--why").out
    _sources.cache_clear()
    assert "4 missing: it is stored with other data files: more.gz changed" in out


def test_a_run_of_which_nothing_is_stored(plan):
    assert "4 missing: nothing is stored of it" in plan("--why", "--set", "latent_dim=5").out


def test_an_evaluation_with_other_options_and_one_of_another_version(plan, cli, suite_file, registry, monkeypatch):
    suite = suite_file(SUITE.replace("sparsity]", "{sparsity: {threshold: 0.5}}]"), "other.yaml")
    out = cli("plan", suite, "--results", plan.store.path, "--why").out
    assert "4 unevaluated: evaluation sparsity(threshold=0.5) has not measured it, but sparsity(threshold=0.01) has" in out
    monkeypatch.setattr(registry.evaluation("sparsity"), "version", "99")
    assert "4 unevaluated: evaluation sparsity has measured with version 1, and version 99 is installed" in plan("--why").out


def test_a_failed_run_has_its_failure_and_an_interrupted_one_its_state(plan):
    row = run_of(plan, family="laplace")
    plan.store.update_run(row["run_id"], {"status": "failed", "failure_kind": "error", "failure_message": "Traceback\nValueError: \x1b[31mno"})
    assert "1 failed: it failed: error: ValueError: \\x1b[31mno" in plan("--why").out
    plan.store.write_state(row["run_id"], {"step": torch.ones(1)})
    plan.store.forget(row["run_id"])
    assert "saved state: " in plan("--why").out


def test_the_shape_of_the_json(plan):
    """Programs rely on these names."""
    found = json.loads(plan("--format", "json", "--only", "family=gaussian").out)
    assert set(found) == {"name", "description", "expect", "notes", "counts", "runs", "left_out", "blocked", "unmeasured", "disk", "time"}
    assert found["name"] == "small"
    assert found["counts"] == {"done": 2}
    (run, _) = found["runs"]
    assert set(run) == {"id", "label", "settings", "state", "evaluations", "lacking", "outdated", "why", "expected_seconds"}
    assert run["settings"]["training.steps"] == 5
    assert run["expected_seconds"] > 0
    assert [evaluation["title"] for evaluation in run["evaluations"]] == ["elbo", "sparsity"]
    assert set(found["disk"]) == {"total", "models", "kept", "arrays", "unknown", "unbuilt"}
