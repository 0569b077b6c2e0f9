"""`latentbench.open` and `latentbench.load`: stored results in a notebook."""

import shutil
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

import latentbench
from latentbench.errors import UserError
from latentbench.results.store import Store

SUITE = """\
name: small
seeds: [1]
evaluations: [elbo, dictionary, {active_units: {threshold: 0.5}}, active_units]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, dataset: digits, limit_data: 0.1, training: {steps: 5, batch_size: 50}}
sweeps:
  - {family: poisson, estimator: mc, dtype: [float32, float64]}
  - {family: test_diverging, estimator: mc}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs that are done, and one that failed."""
    from latentbench.runner import run_suite
    from latentbench.suites.launch import Launch

    folder = tmp_path_factory.mktemp("opened")
    (folder / "suite.yaml").write_text(SUITE)
    run_suite(folder / "suite.yaml", folder / "r", Launch("test_inline"))
    return folder / "r"


@pytest.fixture
def results(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "r")
    return tmp_path / "r"


def an_id(results, query="dtype == 'float32' and status == 'done'"):
    return latentbench.open(results).runs.query(query)["run_id"].iloc[0]


def test_the_tables_of_a_folder(trained):
    folder = latentbench.open(str(trained))
    assert folder.runs["status"].value_counts().to_dict() == {"done": 2, "failed": 1}
    assert {"nelbo", "active_fraction"} <= set(folder.metrics["metric"])
    assert {"active_units(threshold=0.5, rule=threshold)", "active_units(threshold=0.01, rule=threshold)"} < set(folder.metrics["title"])
    assert set(folder.evaluations["title"]) == set(folder.metrics["title"])
    assert len(folder.units.query("metric == 'kl'")) >= 8
    assert set(folder.history["run_id"]) >= set(folder.metrics["run_id"])
    assert folder.summaries.empty
    assert folder.runs is folder.runs


def test_arrays_by_evaluation(trained):
    arrays = latentbench.open(trained).arrays(an_id(trained))
    assert arrays["dictionary"]["elements"].shape == (4, 8, 8)


def test_a_trained_model_with_its_settings_data_and_metrics(trained):
    run_id = an_id(trained)
    loaded = latentbench.load(run_id[:10], results=trained)
    assert repr(loaded) == f"<run {run_id}: poisson mc digits linear|linear seed 1>"
    assert isinstance(loaded.model, nn.Module)
    assert not loaded.model.training
    stored = Store(trained).read_checkpoint(run_id)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in loaded.model.state_dict().items())
    assert (loaded.run.id, loaded.run.training["steps"], loaded.row["status"]) == (run_id, 5, "done")
    assert set(loaded.metrics["run_id"]) == {run_id}
    assert "active_units(threshold=0.5, rule=threshold)" in set(loaded.metrics["title"])


def test_splits_are_the_share_of_the_data_that_the_run_used(trained):
    loaded = latentbench.load(an_id(trained), results=trained)
    assert list(loaded.splits) == ["train", "validation"]
    n = loaded.metrics.query("metric == 'nelbo'")["n"].iloc[0]
    assert loaded.images().shape == (n, 1, 8, 8)
    assert loaded.labels().shape == (n,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_codes_are_those_that_were_measured(trained, dtype):
    """The stored costs of every image come out again."""
    run_id = an_id(trained, f"dtype == '{dtype}' and status == 'done'")
    loaded = latentbench.load(run_id, results=trained)
    codes = loaded.codes("validation")
    measured = latentbench.open(trained).arrays(run_id)["elbo"]["per_image/validation/nelbo"]
    torch.testing.assert_close(codes.costs["nelbo"].float(), measured)
    again = loaded.encode(loaded.images("validation"))
    assert torch.equal(again.sample, codes.sample)
    torch.testing.assert_close(loaded.decode(codes.mean), loaded.model.decode_mean(codes.mean).detach())
    assert loaded.prior_samples(3).shape == (3, 4)


def test_a_family_without_a_prior_has_no_samples_of_it(results, make_run, registry):
    from latentbench.execution.execute import execute
    from latentbench.execution.job import Job

    run = make_run(family="lca", estimator=None, encoder=None, family_options__iterations=2, training__steps=1).run
    assert execute(Job(run, ()), registry, Store(results), "cpu") is None
    assert latentbench.load(run.id, results=results).prior_samples(2) is None


def test_mistakes(trained):
    loaded = latentbench.load(an_id(trained), results=trained)
    failed = an_id(trained, "status == 'failed'")
    mistakes = {
        "no run begins with 'zzz'": lambda: latentbench.load("zzz", results=trained),
        "3 runs begin with ''": lambda: latentbench.load("", results=trained),
        f"run {failed} of .* failed, so there is no trained model: non-finite": lambda: latentbench.load(failed, results=trained),
        "has no results .it does not exist": lambda: latentbench.open("nowhere"),
        "unknown split 'tset'; known: train, validation": lambda: loaded.images("tset"),
        r"expected floating-point images \[N, 1, 8, 8\] of 'digits', got float32 \[": lambda: loaded.encode(loaded.images()[:, :, :3]),
        r"got int64 \[2, 1, 8, 8\]": lambda: loaded.encode(torch.zeros(2, 1, 8, 8, dtype=torch.int64)),
        "no run begins with 'a run'": lambda: latentbench.open(trained).arrays("a run"),
    }
    for message, mistake in mistakes.items():
        with pytest.raises(UserError, match=message):
            mistake()


def test_a_model_that_is_not_stored(results):
    run_id = an_id(results)
    Store(results).checkpoint_path(run_id).unlink()
    with pytest.raises(UserError, match=f"{run_id}.safetensors is missing; run the suite with --force to train it again"):
        latentbench.load(run_id, results=results)


def test_a_part_that_is_not_installed(results, registry, monkeypatch):
    monkeypatch.delitem(registry.parts["families"], "poisson")
    with pytest.raises(UserError, match="unknown family 'poisson'"):
        latentbench.load(an_id(results), results=results)


def test_a_part_of_another_version_is_a_warning(results, registry, monkeypatch):
    stored = registry.family("poisson").version
    monkeypatch.setattr(registry.family("poisson"), "version", "99")
    with pytest.warns(UserWarning, match=f"trained with family 'poisson' version {stored}, and version 99 is installed; the model may not") as caught:
        latentbench.load(an_id(results), results=results)
    assert caught[0].filename == __file__


def test_other_code_is_a_warning(results):
    run_id = an_id(results)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        latentbench.load(run_id, results=results)
    Store(results).update_run(run_id, {"sources": '{"latentbench/models/model.py": "0"}'})
    with pytest.warns(UserWarning, match="trained by other code: latentbench/models/model.py changed since"):
        latentbench.load(run_id, results=results)


def test_other_data_are_refused_and_the_model_is_not(results, registry, monkeypatch):
    sources = registry.dataset("digits").sources
    monkeypatch.setattr(registry.dataset("digits"), "sources", lambda self: sources(self) | {"more.gz": "1"})
    loaded = latentbench.load(an_id(results), results=results)
    with pytest.raises(UserError, match=r"trained on other data: more\.gz changed"):
        loaded.images()
    assert loaded.prior_samples(2).shape == (2, 4)


def test_a_model_that_does_not_fit_its_parts(results):
    run_id, store = an_id(results), Store(results)
    store.write_checkpoint(run_id, {"decoder.weight": torch.zeros(1)})
    with pytest.raises(UserError, match="its stored model does not fit its parts as they are now: "):
        latentbench.load(run_id, results=results)


def test_neither_the_package_nor_tables_import_torch(trained):
    code = (
        f"import latentbench, sys\nassert 'pandas' not in sys.modules\nlatentbench.open({str(trained)!r}).metrics\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
