"""`latentbench report` on the command line: the file that it writes, and every mistake with exit code 2."""

import os

import pytest

from tests.reporting.report.hostile import many

SUITE = """\
name: small
description: A small <suite>.
seeds: [1, 2]
evaluations: [elbo, dictionary]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 20, batch_size: 50}}
sweeps:
  - {family: [poisson, gaussian], estimator: exact, dataset: digits}
leaderboard: {metric: nelbo, rows: [family], columns: [dataset]}
"""


def test_a_suite_that_was_run_is_reported_as_it_was_asked_for(cli, suite_file, tmp_path):
    suite, results, out = suite_file(SUITE), tmp_path / "r", tmp_path / "report.html"
    assert cli("run", suite, "--results", results, "--scale", "0.5", "--cpus", "1").code == 0
    answer = cli("report", results, "--suite", suite, "--out", out, "--title", "Mine & <theirs>")
    assert (answer.code, answer.err) == (0, "")
    assert str(out) in answer.out
    html = out.read_text(encoding="utf-8")
    assert "<title>Mine &amp; &lt;theirs&gt;</title>" in html
    assert "Suite small: 4 runs, 4 done. It was run with --scale 0.5" in html
    assert "A small &lt;suite&gt;." in html
    assert "as suite small asks" in html
    assert 'alt="dictionary of' in html


def test_a_folder_without_results_is_refused(cli, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "none"):
        answer = cli("report", tmp_path / folder, "--out", tmp_path / "report.html")
        assert answer.code == 2
        assert answer.err.startswith(f"error: results folder {tmp_path / folder} has no results")
    assert not (tmp_path / "report.html").exists()


def test_a_suite_without_stored_runs_is_refused(cli, suite_file, tmp_path):
    many(tmp_path / "r", 2)
    answer = cli("report", tmp_path / "r", "--suite", suite_file(SUITE), "--out", tmp_path / "report.html")
    assert answer.code == 2
    assert "no run of the suite 'small'" in answer.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_named(cli, tmp_path):
    many(tmp_path / "r", 2)
    (tmp_path / "closed").mkdir(mode=0o500)
    answer = cli("report", tmp_path / "r", "--out", tmp_path / "closed" / "report.html")
    assert answer.code == 2
    assert "closed/report.html" in answer.err


def test_a_folder_in_the_place_of_the_file_is_named(cli, tmp_path):
    many(tmp_path / "r", 2)
    (tmp_path / "report.html").mkdir()
    answer = cli("report", tmp_path / "r", "--out", tmp_path / "report.html")
    assert answer.code == 2
    assert "report.html" in answer.err


def test_a_file_below_a_file_is_named(cli, tmp_path):
    many(tmp_path / "r", 2)
    (tmp_path / "file").write_text("")
    answer = cli("report", tmp_path / "r", "--out", tmp_path / "file" / "report.html")
    assert answer.code == 2
    assert "file" in answer.err
