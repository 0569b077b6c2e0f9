"""Joining results folders: what both have must agree, and what one has is not lost."""

import shutil

import pandas as pd
import pytest

from latentbench.execute import Job, execute
from latentbench.plan import EvaluationPlan
from latentbench.store import Store

ELBO, SPARSITY = EvaluationPlan("elbo", {}, "1"), EvaluationPlan("sparsity", {"threshold": 0.01}, "1")


@pytest.fixture(scope="module")
def folders(make_run, registry, tmp_path_factory):
    """A has runs 1 and 2 with elbo; B has runs 2 and 3, run 2 with sparsity too."""
    base = tmp_path_factory.mktemp("stores")
    runs = {seed: make_run(seed=seed, training__steps=3).run for seed in (1, 2, 3)}
    for seed, name, evaluations in ((1, "a", (ELBO,)), (2, "a", (ELBO,)), (2, "b", (ELBO, SPARSITY)), (3, "b", (ELBO,))):
        assert execute(Job(runs[seed], evaluations), registry, Store(base / name), "cpu") is None
    return base, {seed: run.id for seed, run in runs.items()}


def test_runs_are_joined_with_every_evaluation(folders, cli, tmp_path):
    base, ids = folders
    answer = cli("merge", base / "a", base / "b", "--into", tmp_path / "c")
    assert answer.code == 0
    assert "3 runs in" in answer.out
    assert "1 of them from several folders; 0 conflicts" in answer.out
    metrics = pd.read_parquet(tmp_path / "c" / "metrics")
    assert set(metrics[metrics["run_id"] == ids[2]]["evaluation"]) == {"elbo", "sparsity"}
    assert not metrics.duplicated(["run_id", "evaluation_id", "split", "metric", "index"]).any()
    store = Store(tmp_path / "c")
    for seed, run_id in ids.items():
        source = base / ("a" if seed < 3 else "b")
        assert store.checkpoint_path(run_id).read_bytes() == Store(source).checkpoint_path(run_id).read_bytes()
        for table in ("history", "units") if seed != 2 else ():
            one, other = (frame[frame["run_id"] == run_id].reset_index(drop=True) for frame in (store.read(table), Store(source).read(table)))
            assert one.equals(other)
    assert cli("compare", tmp_path / "c", "--rows", "family").code == 0


def change(folder, run_id, factor):
    store = Store(folder)
    frame = store.read("metrics")
    mine = frame[(frame["run_id"] == run_id) & (frame["evaluation"] == "elbo")].copy()
    mine.loc[mine["metric"] == "nelbo", "value"] *= factor
    rows = mine.astype(object).where(mine.notna(), None).to_dict("records")
    store.write_rows("metrics", f"{run_id}-{ELBO.id}", rows)


@pytest.mark.parametrize(("factor", "conflicts"), [(1.005, 0), (1.02, 1)])
def test_results_that_differ_are_conflicts_beyond_the_tolerance(folders, cli, tmp_path, factor, conflicts):
    base, ids = folders
    shutil.copytree(base / "b", tmp_path / "b")
    change(tmp_path / "b", ids[2], factor)
    answer = cli("merge", base / "a", tmp_path / "b", "--into", tmp_path / "c")
    assert answer.code == conflicts
    assert f"{conflicts} conflicts" in answer.out
    kept = set(pd.read_parquet(tmp_path / "c" / "runs")["run_id"])
    assert (ids[2] in kept) is (conflicts == 0)
    if conflicts:
        assert f"conflict: run {ids[2]} was left out: nelbo on validation is" in answer.out
        assert cli("merge", base / "a", tmp_path / "b", "--into", tmp_path / "d", "--tolerance", "0.1").code == 0


def test_a_run_that_failed_somewhere_and_is_done_elsewhere_is_done(folders, cli, tmp_path):
    base, ids = folders
    Store(tmp_path / "f").write_rows("runs", ids[3], [{"run_id": ids[3], "status": "failed", "failure_kind": "killed", "family": "poisson"}])
    assert cli("merge", tmp_path / "f", base / "b", "--into", tmp_path / "c").code == 0
    assert Store(tmp_path / "c").run_states()[ids[3]]["status"] == "done"


@pytest.mark.parametrize(("words", "message"), [(("nowhere",), "nowhere has no results (it does not exist)"), ((), "Missing argument")])
def test_wrong_input_is_one_message(cli, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    answer = cli("merge", *words, "--into", tmp_path / "c")
    assert answer.code == 2
    assert message in answer.err


def test_a_folder_with_results_is_not_merged_into(folders, cli):
    base, _ = folders
    answer = cli("merge", base / "a", "--into", base / "b")
    assert answer.code == 2
    assert "has results already; name a new one" in answer.err


def test_summaries_of_folders_with_one_name_are_all_kept(cli, tmp_path):
    for place, value in (("one", 1.0), ("two", 2.0)):
        Store(tmp_path / place / "results").write_rows("summaries", "s", [{"family": "poisson", "metric": "nelbo", "value": value, "source": place}])
    assert cli("merge", tmp_path / "one" / "results", tmp_path / "two" / "results", "--into", tmp_path / "c").code == 0
    assert sorted(pd.read_parquet(tmp_path / "c" / "summaries")["value"]) == [1.0, 2.0]


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_number_and_none_are_a_conflict_at_any_tolerance(folders, cli, tmp_path, factor):
    base, ids = folders
    shutil.copytree(base / "b", tmp_path / "b")
    change(tmp_path / "b", ids[2], factor)
    for number, words in enumerate([(base / "a", tmp_path / "b"), (tmp_path / "b", base / "a")]):
        answer = cli("merge", *words, "--into", tmp_path / f"c{number}", "--tolerance", "1e9")
        assert answer.code == 1
        assert f"conflict: run {ids[2]} was left out: nelbo on validation is" in answer.out
