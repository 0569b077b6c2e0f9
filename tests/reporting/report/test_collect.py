"""Whole pages: of all kinds of folders, their size and their speed."""

import subprocess
import sys

import pytest

from latentbench.reporting.report import page, write_report
from latentbench.reporting.report.html import to_html
from latentbench.reporting.report.stored import Stored
from latentbench.reporting.verify import verify
from latentbench.reporting.verify_text import summary
from latentbench.results.asked import Asked
from latentbench.results.store import Store
from tests.made import make
from tests.reporting.report.hostile import many


def test_several_folders_are_told_apart(quick, tmp_path):
    many(tmp_path / "other", 2)
    found = Stored.read([quick.folder, tmp_path / "other"])
    assert len(found.runs) == 54
    assert "store" in found.names or found.runs["model"].nunique() > 26
    assert str(tmp_path / "other") in to_html(page([quick.folder, tmp_path / "other"]))


def test_failed_runs_alone_have_a_page(tmp_path):
    many(tmp_path, 3, failed=True)
    html = to_html(page([tmp_path]))
    assert "3 failed" in html
    assert "No metric that says which direction is better was measured." in html


def test_published_numbers_alone_have_a_page(root, tmp_path):
    assert write_report([root / "results" / "published"], tmp_path / "report.html") < 10_000_000


@pytest.mark.slow
def test_a_thousand_runs_take_five_seconds_and_ten_megabytes(tmp_path):
    """CPU seconds, of one of three, as other work on the machine slows all down, and the first bundles the scripts of all reports."""
    many(tmp_path, 1000)
    took = []
    while len(took) < 3 and min(took, default=5) >= 5:
        took.append(_seconds("report", tmp_path, "--out", tmp_path / "report.html"))
    assert min(took) < 5
    assert (tmp_path / "report.html").stat().st_size < 10_000_000


@pytest.mark.slow
def test_verdicts_are_those_of_verify_and_a_recorded_suite_needs_no_torch(root, registry, tmp_path):
    suite, results = root / "suites" / "table3.yaml", tmp_path / "results"
    made = make(suite, results, arrays=False, registry=registry)
    Asked.of(made.plan).write(Store(results))
    _seconds("report", results, "--suite", suite, "--out", tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = verify(suite, [results])
    assert found.lines
    assert all(f"<p>{line}</p>" in html for line in summary(found))
    assert "Verdicts on published/table3" in html


def _seconds(*words):
    """The CPU seconds of a command, in a process of its own, which imports no torch."""
    code = "import sys, time\nfrom latentbench.__main__ import main\ntry: main()\nfinally: print(time.process_time(), 'torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    seconds, torch = ran.stdout.split()[-2:]
    assert torch == "False"
    return float(seconds)
