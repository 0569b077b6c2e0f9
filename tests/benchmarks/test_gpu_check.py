"""The GPU check where there is no GPU: what it says, that checks cannot harm each other, and, slowly, every check on the CPU."""

import json
import os
import subprocess
import sys
from importlib.metadata import distributions

import pytest
import torch

from benchmarks.gpu_check import bare, check, environment
from benchmarks.gpu_check.__main__ import CHECKS, LIMIT, main
from benchmarks.gpu_check.check import Check, Finding, Outcome, Setting, run_apart, run_here
from benchmarks.gpu_check.report import table, write


@pytest.fixture
def setting(tmp_path):
    return Setting("cpu", True, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_ends_with_2(tmp_path, capsys):
    assert main(["--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "GPU" in said
    assert "nothing was checked" in said
    assert not list(tmp_path.iterdir())


def test_the_checks_take_less_than_nine_minutes():
    """Each is ended at its limit, and all of them at theirs: what is left over is skipped."""
    assert LIMIT < 540
    assert all(one.seconds < LIMIT / 4 for one in CHECKS)


def test_a_check_whose_packages_are_missing_is_skipped(setting):
    outcome = run_apart(Check("environment", 30, ("torch", "no_such_package")), setting, 30, {})
    assert (outcome.status, outcome.note) == ("skipped", "packages missing: no_such_package")


def test_a_check_that_takes_too_long_is_ended(setting):
    assert run_apart(Check("environment", 30, ()), setting, 0.05, {}).status == "timed out"


def test_a_process_that_dies_is_an_outcome_with_what_it_had_found(tmp_path):
    log = tmp_path / "log"
    log.write_text("Segmentation fault\n")
    output = json.dumps({"what": "a", "found": "b", "expected": "", "ok": True}) + "\nnoise\n"
    outcome = check._outcome("x", output, False, 1.0, log)
    assert (outcome.status, outcome.note, outcome.findings) == ("crashed", "Segmentation fault", [Finding("a", "b", "", True)])


def test_an_error_of_a_check_is_an_outcome_with_what_it_had_found(setting, monkeypatch):
    def failing(setting):
        yield Finding("first", "1")
        raise RuntimeError("no luck")

    monkeypatch.setattr(environment, "check", failing)
    outcome = run_here(Check("environment", 1), setting)
    assert outcome.status == "failed"
    assert [finding.what for finding in outcome.findings] == ["first"]
    assert "no luck" in outcome.note


def test_a_finding_that_is_not_as_expected_fails_the_check(setting, monkeypatch):
    monkeypatch.setattr(environment, "check", lambda setting: iter([Finding("x", "1", "2", False), Finding("y", "3")]))
    assert run_here(Check("environment", 1), setting).status == "failed"


def test_the_report_has_every_finding_and_every_outcome(tmp_path):
    outcomes = [
        Outcome("a", "failed", 3.0, "first\nlast line", [Finding("x|y", "1", "2", False)]),
        Outcome("b", "skipped", note="packages missing: z"),
    ]
    write(outcomes, "cuda:0", tmp_path)
    assert table(outcomes).splitlines()[2:] == [
        r"| a | x\|y | 1 | 2 | NO |",
        "| a | **outcome** | failed after 3 s: last line |  | NO |",
        "| b | **outcome** | skipped after 0 s: packages missing: z |  |  |",
    ]
    assert table(outcomes) in (tmp_path / "gpu_check.md").read_text()
    assert [one["name"] for one in json.loads((tmp_path / "gpu_check.json").read_text())["checks"]] == ["a", "b"]


def test_an_uninstalled_checkout_finds_the_plugins_of_an_installed_one(tmp_path, monkeypatch):
    monkeypatch.setattr(bare, "_installed", lambda: False)
    path = bare.python_path(tmp_path).split(os.pathsep)
    points = {(point.group, point.name, point.value) for found in distributions(path=[path[2]]) for point in found.entry_points}
    installed = {(point.group, point.name, point.value) for found in distributions(name="latentbench") for point in found.entry_points}
    assert points == {point for point in installed if point[0] != "console_scripts"}


@pytest.mark.slow
def test_every_check_runs_on_the_cpu(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--device", "cpu", "--small", "--out", str(tmp_path)]
    ended = subprocess.run(command, cwd=bare.ROOT, capture_output=True, text=True, check=False)
    outcomes = json.loads((tmp_path / "gpu_check.json").read_text())["checks"]
    assert {one["name"]: (one["status"], one["note"]) for one in outcomes} == {one.name: ("passed", "") for one in CHECKS}, ended.stderr
    assert ended.returncode == 0
