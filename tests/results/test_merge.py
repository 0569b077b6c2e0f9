"""Joining results folders: what both have must agree, and what one has is not lost."""

import shutil

import pandas as pd
import pytest

from latentbench.errors import UserError
from latentbench.execution.execute import Job, execute
from latentbench.results.merge import merge
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.suites.plan import EvaluationPlan
from tests.kit import Killer, in_a_fork

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
    assert Snapshot.read(Store(tmp_path / "c")).rows[ids[3]]["status"] == "done"


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


@pytest.fixture
def twins(make_run, registry, tmp_path):
    """A run in two folders, with a model, arrays and pictures in both; its id, and what either has."""
    job = Job(make_run(training__steps=3).run, (ELBO, EvaluationPlan("dictionary", {}, "1")))
    for name in ("a", "b"):
        assert execute(job, registry, Store(tmp_path / name), "cpu") is None
        Store(tmp_path / name).log_path(job.run.id).parent.mkdir()
        Store(tmp_path / name).log_path(job.run.id).write_text(name)
    return job.run.id, {path.relative_to(tmp_path / "a"): path.read_bytes() for path in files(tmp_path / "a")}


def files(folder):
    return [path for kind in ("checkpoints", "arrays", "pictures", "logs", "history") for path in (folder / kind).rglob("*") if path.is_file()]


def spoil(path):
    content = bytearray(path.read_bytes())
    content[-20 if path.suffix == ".safetensors" else len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("order", ["ab", "ba"])
@pytest.mark.parametrize("kind", ["checkpoints", "arrays", "pictures"])
def test_each_file_is_taken_from_a_folder_that_has_it(twins, cli, tmp_path, kind, order):
    _, have = twins
    shutil.rmtree(tmp_path / "a" / kind)
    assert cli("merge", *(tmp_path / name for name in order), "--into", tmp_path / "c").code == 0
    there = {path.relative_to(tmp_path / "c"): path.read_bytes() for path in files(tmp_path / "c")}
    assert there.keys() == have.keys()
    assert {path: raw for path, raw in there.items() if path.parts[0] == kind} == {path: raw for path, raw in have.items() if path.parts[0] == kind}


@pytest.mark.parametrize("kind", ["checkpoints", "arrays", "pictures"])
def test_a_damaged_file_is_passed_over_and_told(twins, cli, tmp_path, kind):
    _, have = twins
    bad = next(path for path in files(tmp_path / "a") if path.relative_to(tmp_path / "a").parts[0] == kind)
    place = bad.relative_to(tmp_path / "a")
    spoil(bad)
    answer = cli("merge", tmp_path / "a", tmp_path / "b", "--into", tmp_path / "c")
    assert answer.code == 0
    assert f"damaged: {bad} is damaged (" in answer.out
    assert f"{tmp_path / 'b' / place} was taken" in answer.out
    assert (tmp_path / "c" / place).read_bytes() == have[place]
    spoil(tmp_path / "b" / place)
    answer = cli("merge", tmp_path / "a", tmp_path / "b", "--into", tmp_path / "d")
    assert answer.code == 1
    assert answer.out.count("no folder has a whole one") == 2
    assert not (tmp_path / "d" / place).exists()
    assert len(Store(tmp_path / "d").read("runs")) == 1


def test_an_evaluation_s_row_comes_with_its_metrics(folders, tmp_path, cli):
    """How an evaluation was measured is told of the numbers that are there, and not of another machine's."""
    base, ids = folders
    for name in ("a", "b"):
        shutil.copytree(base / name, tmp_path / name)
        row = {"run_id": ids[2], "evaluation": "elbo", "evaluation_id": ELBO.id, "host": name}
        Store(tmp_path / name).write_rows("evaluations", f"{ids[2]}-{ELBO.id}", [row])
    assert cli("merge", tmp_path / "b", tmp_path / "a", "--into", tmp_path / "c").code == 0
    rows = Store(tmp_path / "c").read("evaluations")
    assert rows[(rows["run_id"] == ids[2]) & (rows["evaluation_id"] == ELBO.id)]["host"].tolist() == ["b"]


@pytest.mark.slow
def test_a_merge_that_is_killed_anywhere_is_repeated_by_the_same_command(twins, tmp_path):
    """Killed at every place where it writes; nothing else reads or writes the folder meanwhile."""
    Store(tmp_path / "a").write_rows("summaries", "s", [{"family": "poisson", "metric": "nelbo", "value": 1.0, "source": "x"}])
    sources = [tmp_path / "a", tmp_path / "b"]
    merge(sources, tmp_path / "undisturbed")
    expected = {path.relative_to(tmp_path / "undisturbed"): path.read_bytes() for path in (tmp_path / "undisturbed").rglob("*") if path.is_file()}
    places = 0
    while True:
        into = tmp_path / f"c{places}"

        def disturbed(into=into, places=places):
            Killer(places).install()
            merge(sources, into)

        if in_a_fork(disturbed) == 0:
            break
        unfinished = (into / ".merging").exists()
        if unfinished:
            with pytest.raises(UserError, match=r"\.merging: a merge into .* was interrupted; repeat"):
                Store(into).read("runs")
            with pytest.raises(UserError, match="was interrupted"):
                Store(into).check_writable()
        if unfinished or not Store(into).exists():  # otherwise it was whole
            merge(sources, into)
        assert not (into / ".merging").exists()
        there = {path.relative_to(into): path.read_bytes() for path in into.rglob("[!.]*") if path.is_file()}
        assert there == expected, places
        places += 3
    assert places > 30


def test_a_merge_that_was_killed_begins_anew(twins, cli, tmp_path):
    """What it had written is removed: it may be of folders that have changed since."""
    words = ("merge", tmp_path / "a", tmp_path / "b", "--into", tmp_path / "c")
    assert cli(*words).code == 0
    (tmp_path / "c" / ".merging").touch()
    Store(tmp_path / "c").write_rows("runs", "old", [{"run_id": "old", "status": "done"}])
    (tmp_path / "c" / "notes.txt").write_text("mine")
    assert cli(*words).code == 0
    assert Store(tmp_path / "c").read("runs")["run_id"].tolist() == [twins[0]]
    assert (tmp_path / "c" / "notes.txt").read_text() == "mine"
    assert cli(*words).code == 2  # it is whole


def test_summaries_that_several_folders_have_are_there_once(cli, tmp_path):
    row = {"family": "poisson", "metric": "nelbo", "split": "validation", "value": 1.0, "source": "Table 2"}
    for name, further in (("a", []), ("b", [{**row, "value": 2.0, "source": "Table 3"}])):
        Store(tmp_path / name).write_rows("summaries", "s", [row, *further])
    assert cli("merge", tmp_path / "a", tmp_path / "b", tmp_path / "a", "--into", tmp_path / "c").code == 0
    assert sorted(Store(tmp_path / "c").read("summaries")["value"]) == [1.0, 2.0]
    assert cli("merge", tmp_path / "c", tmp_path / "b", "--into", tmp_path / "d").code == 0
    assert sorted(Store(tmp_path / "d").read("summaries")["value"]) == [1.0, 2.0]
