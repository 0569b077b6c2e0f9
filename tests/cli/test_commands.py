"""The command line on real, small data: whole suites, flags, and every mistake with exit code 2."""

import json
import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from tests.timing import times_as_long

SUITE = """\
name: small
seeds: [1, 2]
evaluations: [elbo, sparsity, active_units]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 30, batch_size: 50}}
sweeps:
  - {family: [poisson, gaussian], estimator: [mc, exact], dataset: digits}
leaderboard: {metric: nelbo, rows: [family, estimator]}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The small suite, run once from a real command line: its results folder and what was printed."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "suite.yaml").write_text(SUITE)
    ran = subprocess.run(
        [sys.executable, "-m", "latentbench", "run", "suite.yaml", "--cpus", "2"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder, ran.stdout


def metrics(folder):
    frame = pd.read_parquet(folder / "metrics")
    return frame.sort_values(["run_id", "evaluation_id", "split", "metric", "index"]).reset_index(drop=True)


def test_a_suite_ends_with_its_leaderboard(finished):
    _, out = finished
    assert "8 runs, 0 not run again, 8 to run" in out
    assert re.search(r"\[8/8\] .* done", out)
    table = out[out.index("nelbo on validation") :]
    assert all(re.search(rf"{family} +{estimator} .* ± ", table) for family in ("poisson", "gaussian") for estimator in ("mc", "exact"))
    assert re.search(r"±: 99 % Student t interval over seeds\nn = 2 seeds", table)


def test_every_table_is_there(finished):
    folder, _ = finished
    runs = pd.read_parquet(folder / "results" / "runs")
    assert set(runs["status"]) == {"done"}
    assert len(runs) == runs["run_id"].nunique() == 8
    assert (runs["wall_seconds"] > 0).all()
    assert set(runs["cost"]) == {"nelbo"}
    assert json.loads(runs["training"][0])["steps"] == 30
    assert json.loads(runs["versions"][0])["torch"]
    found = metrics(folder / "results")
    assert {"nelbo", "reconstruction", "kl", "sse_at_mean", "sse_at_location", "r2"} <= set(found["metric"])
    assert {"lifetime_sparsity", "lifetime_sparsity_prior", "population_sparsity", "zero_fraction", "active_fraction"} <= set(found["metric"])
    units = pd.read_parquet(folder / "results" / "units")
    assert (units.groupby(["run_id", "metric"]).size() == 4).all()
    history = pd.read_parquet(folder / "results" / "history")
    assert set(history["run_id"]) == set(runs["run_id"])
    assert all((folder / "results" / "checkpoints" / f"{run}.safetensors").is_file() for run in runs["run_id"])


def test_a_second_run_skips_what_is_done(finished, cli, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(folder)
    answer = cli("run", "suite.yaml")
    assert answer.code == 0
    assert "8 runs, 8 not run again, 0 to run" in answer.out
    assert "nelbo on validation" in answer.out


def test_the_same_run_gives_the_same_numbers_in_any_company(finished, cli, suite_file, tmp_path):
    """Bit for bit: alone, in another order, one at a time."""
    folder, _ = finished
    text = SUITE.replace("[poisson, gaussian], estimator: [mc, exact]", "[laplace, poisson], estimator: mc").replace("[1, 2]", "[2, 1]")
    assert cli("run", suite_file(text), "--results", tmp_path / "other", "--cpus", "1").code == 0
    one, other = metrics(folder / "results"), metrics(tmp_path / "other")
    shared = sorted(set(one["run_id"]) & set(other["run_id"]))
    assert len(shared) == 2
    one, other = (frame[frame["run_id"].isin(shared)].reset_index(drop=True) for frame in (one, other))
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_force_runs_again_and_gives_the_same(finished, cli, tmp_path, suite_file):
    text = suite_file(SUITE)
    words = ("run", text, "--results", tmp_path / "r", "--only", "family=gaussian", "--only", "estimator=mc", "--seeds", "1")
    cli(*words)
    before = metrics(tmp_path / "r")
    assert "1 runs, 1 not run again" in cli(*words).out
    assert "1 runs, 0 not run again" in cli(*words, "--force").out
    pd.testing.assert_frame_equal(before, metrics(tmp_path / "r"), check_exact=True)


def test_a_new_evaluation_runs_on_the_stored_model(finished, cli, tmp_path, suite_file):
    words = ("--results", tmp_path / "r", "--only", "family=gaussian", "--only", "estimator=mc", "--seeds", "1")
    cli("run", suite_file(SUITE.replace("[elbo, sparsity, active_units]", "[elbo]")), *words)
    (before,) = [Path(p).stat().st_mtime_ns for p in (tmp_path / "r" / "checkpoints").glob("*")]
    assert "unevaluated (without sparsity, active_units)" in cli("plan", suite_file(SUITE), *words).out
    assert cli("run", suite_file(SUITE), *words).code == 0
    (after,) = [Path(p).stat().st_mtime_ns for p in (tmp_path / "r" / "checkpoints").glob("*")]
    assert before == after
    folder, _ = finished
    whole = metrics(folder / "results")
    mine = metrics(tmp_path / "r")
    whole = whole[whole["run_id"].isin(mine["run_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, whole, check_exact=True)


def test_failures_are_rows_and_the_others_go_on(cli, suite_file, tmp_path):
    text = SUITE.replace("[poisson, gaussian], estimator: [mc, exact]", "[test_diverging, test_crashing, gaussian], estimator: mc").replace(
        "[1, 2]", "[1]"
    )
    words = ("run", suite_file(text), "--results", tmp_path / "r", "--cpus", "2")
    answer = cli(*words)
    assert answer.code == 1
    runs = pd.read_parquet(tmp_path / "r" / "runs").set_index("family")
    assert runs["status"].to_dict() == {"test_diverging": "failed", "test_crashing": "failed", "gaussian": "done"}
    assert runs["failure_kind"].to_dict()["test_diverging"] == "non-finite"
    assert runs["failure_kind"].to_dict()["test_crashing"] == "killed"
    assert "SIGKILL" in runs.loc["test_crashing", "failure_message"]
    assert "2 failed" in answer.out
    again = cli(*words)
    assert again.code == 1
    assert "2 runs failed before and were not tried again; --retry all does" in again.out
    assert "failed (non-finite" in cli("plan", words[1], "--results", tmp_path / "r").out
    assert "3 runs, 1 not run again, 2 to run" in cli(*words, "--retry", "all").out


@pytest.mark.slow
def test_a_broken_plugin_fails_only_the_runs_that_need_it(tmp_path, suite_file):
    folder = tmp_path / "plugins"
    (folder / "latentbench_broken-1.dist-info").mkdir(parents=True)
    (folder / "latentbench_broken-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: latentbench-broken\nVersion: 1\n")
    (folder / "latentbench_broken-1.dist-info" / "entry_points.txt").write_text("[latentbench]\nlatentbench_broken = latentbench_broken\n")
    (folder / "latentbench_broken.py").write_text("import nothing_of_that_name\n")
    suite = suite_file(
        SUITE.replace("[poisson, gaussian], estimator: [mc, exact]", "[negative_binomial, gaussian], estimator: mc").replace("[1, 2]", "[1]")
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}

    def call(*words):
        return subprocess.run(
            [sys.executable, "-m", "latentbench", *map(str, words)], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )

    listed = call("list", "families")
    assert listed.returncode == 0
    assert "could not be loaded: plugin 'latentbench_broken': ModuleNotFoundError" in listed.stdout
    ran = call("run", suite)
    assert ran.returncode == 1
    runs = pd.read_parquet(tmp_path / "results" / "runs").set_index("family")
    assert runs["failure_kind"].to_dict()["negative_binomial"] == "missing plugin"
    assert runs["status"].to_dict()["gaussian"] == "done"
    source = (
        "from latentbench import hookimpl\nfrom latentbench_gaussian import Gaussian\n\n\nclass Repaired(Gaussian):\n    name = 'negative_binomial'\n"
    )
    (folder / "latentbench_broken.py").write_text(source + "\n\n@hookimpl\ndef register_families():\n    return [Repaired]\n")
    assert call("run", suite).returncode == 0
    runs = pd.read_parquet(tmp_path / "results" / "runs")
    assert sorted(zip(runs["family"], runs["status"], strict=True)) == [("gaussian", "done"), ("negative_binomial", "done")]


@pytest.mark.parametrize("how", ["ctrl-c", "sigterm"])
def test_an_interrupted_suite_keeps_what_is_done_and_says_how_to_go_on(tmp_path, suite_file, how):
    import signal

    suite = suite_file(SUITE.replace("steps: 30", "steps: 3000"))
    command = [sys.executable, "-m", "latentbench", "run", str(suite), "--cpus", "1", "--results", str(tmp_path / "r")]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  # a background job has it ignored
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((tmp_path / "r" / "runs").glob("*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    if how == "ctrl-c":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    else:
        process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: " in out
    assert "the same command resumes" in out
    assert "Traceback" not in err
    runs = pd.read_parquet(tmp_path / "r" / "runs")
    assert set(runs["status"]) == {"done"}
    assert len(runs) < 8


def test_plan_shows_every_run_and_its_state(finished, cli, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(folder)
    done = cli("plan", "suite.yaml")
    assert done.code == 0
    assert "8 distinct runs (8 done)" in done.out
    assert re.search(r"[0-9a-f]{16} +poisson +mc +digits +linear\|linear +4 +1 +30 steps +[\d.]+ s +done", done.out)
    assert "8 distinct runs (8 missing)" in cli("plan", "suite.yaml", "--set", "beta=0.5").out


def test_show_and_list_runs(finished, cli, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(folder)
    listed = cli("list", "runs")
    assert "8 runs in results" in listed.out
    run = re.search(r"[0-9a-f]{16}", listed.out).group()
    shown = cli("show", run[:10])
    assert shown.code == 0
    assert run in shown.out
    assert re.search(r"training\.steps +30$", shown.out, re.MULTILINE)
    assert re.search(r"^elbo on validation\n.*\n  nelbo +\d+\.\d+ ", shown.out, re.MULTILINE)
    assert cli("show", "zzz").code == 2


def test_evaluations_are_named_by_their_options(finished, cli, monkeypatch, suite_file, tmp_path):
    """Where one evaluation has measured twice, with two thresholds: `show`, and the message of `compare`."""
    text = SUITE.replace("active_units]", "active_units, {active_units: {threshold: 0.5}}]").replace("[poisson, gaussian]", "gaussian")
    assert cli("run", suite_file(text), "--results", tmp_path / "r", "--seeds", "1", "--only", "estimator=mc").code == 0
    (run,) = pd.read_parquet(tmp_path / "r" / "runs")["run_id"]
    shown = cli("show", run, "--results", tmp_path / "r").out
    for threshold in ("0.01", "0.5"):
        assert re.search(rf"^active_units\(threshold={threshold}, rule=threshold\) on validation\n.*\n  active_fraction ", shown, re.MULTILINE)
    answer = cli("compare", tmp_path / "r", "--metric", "active_fraction")
    assert answer.code == 2
    assert re.search(r"active_units-[0-9a-f]{8}, which is active_units\(threshold=0.5", answer.err)


def test_a_failed_evaluation_is_named_with_the_way_to_its_traceback(cli, suite_file, tmp_path, monkeypatch):
    (tmp_path / "breaks").touch()
    monkeypatch.setenv("LATENTBENCH_TEST_FRAGILE", str(tmp_path / "breaks"))
    text = SUITE.replace("[elbo, sparsity, active_units]", "[elbo, test_fragile]").replace("[poisson, gaussian]", "gaussian")
    words = (suite_file(text), "--results", tmp_path / "r", "--seeds", "1", "--only", "estimator=mc")
    answer = cli("run", *words, "--engine", "test_inline")
    assert answer.code == 1
    assert "FAILED evaluation test_fragile: RuntimeError: fragile" in answer.out
    assert f"`latentbench show RUN --results {tmp_path / 'r'}` prints all that is stored of a run" in answer.out
    assert "failed (evaluation test_fragile: RuntimeError: fragile)" in cli("plan", *words).out


@pytest.mark.parametrize("kind", ["families", "estimators", "likelihoods", "networks", "datasets", "evaluations"])
def test_list(kind, cli, registry):
    answer = cli("list", kind)
    assert all(re.search(rf"^{re.escape(name)} ", answer.out, re.MULTILINE) for name in registry.parts[kind])


def test_limited_and_scaled_runs(cli, suite_file, tmp_path):
    words = ("run", suite_file(SUITE), "--results", tmp_path / "r", "--scale", "0.1", "--limit-data", "0.1", "--seeds", "3", "--only", "estimator=mc")
    assert cli(*words).code == 0
    runs = pd.read_parquet(tmp_path / "r" / "runs")
    assert (len(runs), set(runs["steps"]), set(runs["limit_data"]), set(runs["seed"])) == (2, {3}, {0.1}, {3})
    n = metrics(tmp_path / "r")
    assert set(n[n["metric"] == "nelbo"]["n"]) == {36}


def test_an_evaluation_that_fails_keeps_the_run_and_the_others(cli, suite_file, tmp_path, monkeypatch):
    flag = tmp_path / "flag"
    flag.touch()
    monkeypatch.setenv("LATENTBENCH_TEST_FRAGILE", str(flag))
    from multiprocessing import forkserver

    forkserver._forkserver._stop()  # it has the environment of its start
    text = SUITE.replace("[elbo, sparsity, active_units]", "[test_fragile, elbo]")
    words = ("run", suite_file(text), "--results", tmp_path / "r", "--only", "family=gaussian", "--only", "estimator=mc", "--seeds", "1")
    first = cli(*words)
    assert first.code == 1
    assert "failed: gaussian mc" in first.out
    assert "RuntimeError: fragile" in first.out
    assert "nelbo on validation" in first.out
    (row,) = pd.read_parquet(tmp_path / "r" / "runs").to_dict("records")
    assert (row["status"], row["failure_kind"], row["steps"]) == ("done", "evaluation", 30)
    flag.unlink()
    checkpoint = next((tmp_path / "r" / "checkpoints").glob("*")).stat().st_mtime_ns
    assert cli(*words).code == 1
    assert "1 runs, 0 not run again" in cli(*words[:2], *words[2:], "--retry", "all").out
    assert checkpoint == next((tmp_path / "r" / "checkpoints").glob("*")).stat().st_mtime_ns
    assert cli("compare", tmp_path / "r", "--metric", "fragile").code == 0
    (row,) = pd.read_parquet(tmp_path / "r" / "runs").to_dict("records")
    assert (row["status"], row["failure_kind"], row["steps"]) == ("done", row["failure_kind"], 30)
    assert pd.isna(row["failure_kind"])


def test_training_again_forgets_what_was_measured_on_the_old_model(cli, suite_file, tmp_path):
    words = ("--results", tmp_path / "r", "--only", "family=gaussian", "--only", "estimator=mc", "--seeds", "1")
    cli("run", suite_file(SUITE), *words)
    cli("run", suite_file(SUITE.replace("[elbo, sparsity, active_units]", "[elbo]")), *words, "--force")
    assert set(metrics(tmp_path / "r")["evaluation"]) == {"elbo"}
    assert "unevaluated (without sparsity, active_units)" in cli("plan", suite_file(SUITE), *words).out


def test_two_ways_to_measure_one_metric(cli, suite_file, tmp_path):
    words = ("--results", tmp_path / "r", "--only", "family=gaussian", "--only", "estimator=mc", "--seeds", "1")
    cli("run", suite_file(SUITE), *words)
    board = SUITE.replace("active_units]", "{active_units: {threshold: 1.0}}]").replace("metric: nelbo", "metric: active_fraction")
    again = cli("run", suite_file(board), *words)
    assert "active_fraction on validation" in again.out
    ambiguous = cli("compare", tmp_path / "r", "--metric", "active_fraction")
    assert ambiguous.code == 2
    chosen = re.search(r"active_units-[0-9a-f]{8}", ambiguous.err).group()
    assert cli("compare", tmp_path / "r", "--metric", "active_fraction", "--evaluation", chosen).code == 0


def test_a_leaderboard_takes_an_index(cli, suite_file, tmp_path):
    text = SUITE.replace("metric: nelbo", "metric: active_fraction_at, index: 0.01")
    answer = cli("run", suite_file(text), "--results", tmp_path / "r", "--seeds", "1", "--only", "family=gaussian")
    assert answer.code == 0
    assert "active_fraction_at at 0.01 on validation" in answer.out


def test_runs_that_differ_in_one_setting_can_be_told_apart_everywhere(cli, suite_file, tmp_path):
    """In the progress of `run`, in `plan`, and in what `status` says of queued runs."""
    from latentbench.execution.queue import enqueue
    from latentbench.runner import Selection, planned
    from latentbench.suites.expand import Changes
    from latentbench.suites.launch import Launch

    text = suite_file(SUITE.replace("dataset: digits", "dataset: digits, beta: [1, 2], decoder_options: {bias: [true, false]}"))
    only = ("--seeds", "1", "--only", "family=gaussian", "--only", "estimator=mc")
    plan, *_ = planned(text, tmp_path / "r", Launch(), Changes(seeds=[1], only={"family": ["gaussian"], "estimator": ["mc"]}))
    enqueue(tmp_path / "r", "small", [Selection().job(item) for item in plan.runs], detached=True)
    said = {"status": cli("status", "--results", tmp_path / "r").out, "run": cli("run", text, "--results", tmp_path / "r", *only).out}
    said["plan"] = cli("plan", text, "--results", tmp_path / "r", *only).out
    for name, out in said.items():
        for beta in ("1.0", "2.0"):
            for bias in ("True", "False"):
                assert out.count(f"beta={beta} bias={bias}") == 1, name
        assert "plugins" not in out


def test_a_table_that_cannot_be_made_is_no_failure_of_the_runs(cli, suite_file, tmp_path):
    answer = cli(
        "run",
        suite_file(SUITE.replace("rows: [family, estimator]", "rows: [family]")),
        "--results",
        tmp_path / "r",
        "--seeds",
        "1",
        "--only",
        "family=gaussian",
    )
    assert answer.code == 0
    assert "no leaderboard: the cell family=gaussian would average over settings that vary: estimator: exact, mc" in answer.out


MISTAKES = {
    "plan gpus": (["plan", "{suite}", "--gpus", "abc"], "--gpus abc: expected numbers"),
    "many seeds": (["run", "{suite}", "--seeds", "1-3000000000000"], "more than 10000 numbers"),
    "no suite": (["run"], "Missing argument"),
    "flag": (["run", "{suite}", "--nonsense"], "No such option"),
    "flag value": (["run", "{suite}", "--scale", "abc"], "'--scale'"),
    "command": (["trian"], "trian"),
    "kind": (["list", "familes"], "familes"),
    "missing suite": (["run", "quik.yaml"], "suite file quik.yaml does not exist"),
    "results in the way": (["run", "{suite}", "--results", "{suite}/x"], "is not writable"),
    "gpu": (["run", "{suite}", "--gpus", "9"], "--gpus 9: not on this machine"),
    "gpu range": (["run", "{suite}", "--gpus", "7-0"], "--gpus 7-0: expected numbers like 0-7"),
    "gpu twice": (["run", "{suite}", "--gpus", "0,0"], "--gpus 0,0: 0 is given twice"),
    "both devices": (["run", "{suite}", "--gpus", "0", "--cpus", "1"], "choose one of them"),
    "no cpus": (["run", "{suite}", "--cpus", "0"], "--cpus 0"),
    "set path": (["run", "{suite}", "--set", "training.learning_rat=1"], "did you mean 'training.learning_rate'"),
    "set form": (["run", "{suite}", "--set", "beta"], "expected key=value"),
    "set list": (["run", "{suite}", "--set", "beta=[1, 2]"], "expected one value"),
    "set value": (["run", "{suite}", "--set", "beta=much"], "beta: "),
    "set unread": (["run", "{suite}", "--only", "family=gaussian", "--set", "training.temperature_stop=0.1"], "no run of the suite reads"),
    "only key": (["run", "{suite}", "--only", "famly=poisson"], "did you mean 'family'"),
    "only value": (["run", "{suite}", "--only", "family=laplace"], "the suite has family: gaussian, poisson"),
    "scale": (["run", "{suite}", "--scale", "0"], "--scale 0"),
    "limit": (["run", "{suite}", "--limit-data", "2"], "--limit-data 2"),
    "seeds": (["run", "{suite}", "--seeds", "one"], "--seeds one"),
    "compare nothing": (["compare", "nowhere"], "nowhere has no results"),
    "compare from": (["compare", "nowhere", "--from", "all"], "--from all"),
    "list nothing": (["list", "runs", "--results", "nowhere"], "nowhere has no results"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_and_exit_code_2(mistake, cli, suite_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, message = MISTAKES[mistake]
    suite = suite_file(SUITE)
    answer = cli(*[word.replace("{suite}", str(suite)) for word in words])
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_a_read_only_results_folder_is_named(cli, suite_file, tmp_path, monkeypatch):
    from latentbench.results import store

    def refuse(path, content):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store, "write_atomically", refuse)  # root may write anywhere, so a folder's mode proves nothing here
    answer = cli("run", suite_file(SUITE), "--results", tmp_path / "r")
    assert answer.code == 2
    assert "is not writable: Permission denied" in answer.err


A_HELP = """
import typer
app = typer.Typer()
for name in ("one", "other"):
    @app.command(name)
    def command(number: int = 1): "Words."
app(["--help"])
"""


def test_help_is_quick():
    """At most twice what typer takes for any help, some .17 s: torch, pandas and pydantic are imported where they are used."""
    ours, any_help = (
        partial(subprocess.run, [sys.executable, *words], check=True, capture_output=True)
        for words in (["-m", "latentbench", "--help"], ["-c", A_HELP])
    )
    assert times_as_long(ours, any_help) < 2
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, latentbench.cli.app; print('torch' in sys.modules or 'pandas' in sys.modules)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "False"


def test_a_third_party_s_parts_run_beside_ours(cli, suite_file, tmp_path):
    """An iterative family, a score-function estimator with a baseline, a foreign distribution, binary images: one store, costs apart."""
    text = """\
name: mixed
seeds: [1]
evaluations: [elbo, sparsity, active_units]
defaults: {decoder: linear, latent_dim: 4, training: {steps: 10, batch_size: 50}}
sweeps:
  - {family: test_lca, dataset: digits}
  - {family: [poisson, test_gamma], estimator: mc, encoder: linear, dataset: [digits, digits_binary, photo_patches_binary]}
  - {family: poisson, estimator: test_reinforce, encoder: test_mlp, dataset: digits}
"""
    answer = cli("run", suite_file(text), "--results", tmp_path / "r")
    assert answer.code == 0, answer.out
    runs = pd.read_parquet(tmp_path / "r" / "runs")
    assert dict(zip(runs["family"], runs["cost"], strict=True)) == {"test_lca": "sparse_coding_cost", "poisson": "nelbo", "test_gamma": "nelbo"}
    assert set(runs.loc[runs["dataset"].str.endswith("binary"), "likelihood"]) == {"bernoulli"}
    board = cli("compare", tmp_path / "r", "--rows", "family,estimator", "--columns", "dataset,encoder,likelihood")
    assert "test_lca" not in board.out
    assert "test_reinforce" in board.out
    assert "test_lca" in cli("compare", tmp_path / "r", "--metric", "sparse_coding_cost").out
