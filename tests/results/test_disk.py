"""The disk space that a plan announces is that of the files that its runs leave."""

import pytest

from latentbench.results.disk import _model_bytes, disk
from latentbench.results.store import Store
from latentbench.runner import planned
from latentbench.suites.expand import NO_CHANGES
from latentbench.suites.launch import Launch

SUITE = """\
name: space
seeds: [1, 2]
evaluations: [dictionary, elbo]
keep_checkpoints: [0, 0.5]
defaults: {encoder: linear, decoder: linear, latent_dim: 6, dataset: digits, training: {steps: 4, batch_size: 50}}
sweeps:
  - {family: [poisson, gaussian], estimator: mc}
  - {family: gaussian, estimator: exact, dtype: float64, decoder_options: {bias: true}}
"""
OVERHEAD = 2_000
"""Bytes of a model's file beside its tensors: the header with names and shapes."""


@pytest.fixture
def plan_of(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SUITE)
    return lambda: planned(path, tmp_path / "results", Launch(), NO_CHANGES)[0]


def test_an_estimate_is_what_files_take(cli, plan_of, tmp_path):
    store = Store(tmp_path / "results")
    before = disk(plan_of(), store)
    assert list(before.unknown) == ["dictionary", "elbo"]
    assert before.arrays == 0
    assert cli("run", tmp_path / "space.yaml", "--results", store.path).code == 0
    after = disk(plan_of(), store)
    models = [path.stat().st_size for path in (store.path / "checkpoints").glob("*.safetensors") if "@" not in path.name]
    assert len(models) == 6
    assert before.models <= sum(models) <= before.models + OVERHEAD * len(models)
    assert (after.models, after.kept, after.unknown) == (before.models, 2 * before.models, [])
    found = [path.stat().st_size for kind in ("arrays", "pictures") for path in (store.path / kind).rglob("*") if path.is_file()]
    assert after.arrays == sum(found) > 0


def test_a_model_that_cannot_be_built_is_counted_and_does_not_end_a_plan(cli, plan_of, tmp_path, monkeypatch):
    def fails(*given, **named):
        raise RuntimeError("foreign code")

    plan_of()
    monkeypatch.setattr("latentbench.results.disk.build_model", fails)
    monkeypatch.setattr("latentbench.results.disk._model_bytes", _model_bytes.__wrapped__)
    answer = cli("plan", tmp_path / "space.yaml", "--results", tmp_path / "results")
    assert answer.code == 0
    assert "takes 0 B of disk" in answer.out
    assert "without 6 runs whose models cannot be built" in answer.out


def test_plan_says_what_a_suite_takes(cli, plan_of, tmp_path):
    plan_of()
    said = cli("plan", tmp_path / "space.yaml", "--results", tmp_path / "results").out
    assert "of models, " in said
    assert "without what dictionary, elbo may store" in said
