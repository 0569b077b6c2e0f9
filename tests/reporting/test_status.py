"""`latentbench status`: what is told of runs that ended, run, or were interrupted."""

import platform
import re
import subprocess
import sys
import time

import pandas as pd

from latentbench.execution.leases import COMPACTION, Leases

SUITE = """\
name: s
seeds: SEEDS
sweeps:
  - {family: gaussian, estimator: mc, dataset: digits, encoder: linear, decoder: linear, latent_dim: 4, training: {steps: %d}}
"""


def test_a_running_run_is_shown_with_its_place_and_progress_then_as_interrupted(cli, suite_file, tmp_path, monkeypatch):
    """Its heartbeat has the progress; after SIGTERM its state is there."""
    suite, results = suite_file(SUITE.replace("SEEDS", "[1, 2]") % 10_000_000), tmp_path / "r"
    process = subprocess.Popen(
        [sys.executable, "-m", "latentbench", "run", str(suite), "--results", str(results), "--cpus", "1"], stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 90
    while not list(results.glob("leases/*.progress")) and time.monotonic() < deadline:
        time.sleep(0.5)
    running = cli("status", "--results", results)
    process.terminate()
    process.communicate(timeout=90)
    assert "no run has ended; 1 running, 1 queued, 0 interrupted" in running.out
    assert f"{platform.node()}  " in running.out
    assert re.search(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d", running.out)
    assert re.search(r"queued: \w{16} gaussian mc digits linear.linear seed [12]", running.out)
    assert "gaussian mc digits linear|linear seed 1" in running.out
    assert "/10000000" in running.out
    assert " h " in running.out
    stopped = cli("status", "--results", results)
    assert "0 running, 0 queued, 1 interrupted" in stopped.out
    assert "`latentbench run` of its suite continues it" in stopped.out
    assert "interrupted" in cli("plan", suite, "--results", results).out


def test_ended_runs_are_counted_by_outcome(cli, suite_file, tmp_path):
    suite = suite_file(SUITE.replace("SEEDS", "[1]").replace("family: gaussian", "family: [gaussian, test_crashing]") % 5)
    assert cli("run", suite, "--results", tmp_path / "r", "--cpus", "1").code == 1
    kinds = pd.read_parquet(tmp_path / "r" / "runs")["failure_kind"].dropna().tolist()
    answer = cli("status", "--results", tmp_path / "r")
    assert f"1 done, 1 failed: {kinds[0]}; 0 running, 0 queued, 0 interrupted" in answer.out


def test_a_compaction_is_shown(cli, tmp_path):
    compaction = Leases(tmp_path / "leases")
    assert compaction.acquire(COMPACTION, "compaction")
    answer = cli("status", "--results", tmp_path)
    assert re.search(rf"^compaction +compaction +{platform.node()} ", answer.out, re.MULTILINE)
    assert "no run has ended; 1 running" in answer.out


def test_a_folder_that_is_not_there_is_an_error(cli, tmp_path):
    answer = cli("status", "--results", tmp_path / "nowhere")
    assert answer.code == 2
    assert "does not exist" in answer.err
