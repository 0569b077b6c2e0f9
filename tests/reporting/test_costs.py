"""What `latentbench plan --time` prints of measurements that are made here."""

import json

import pytest

from latentbench.execution.cost import estimate as estimates
from tests.execution.cost.test_estimate import SUITE
from tests.execution.cost.test_measured import measured


@pytest.fixture
def plan(cli, suite_file, tmp_path, monkeypatch):
    """`latentbench plan --time` of four runs of 100 steps of two kinds, which measure what `answers` says, by family."""
    monkeypatch.setenv("LATENTBENCH_CACHE", str(tmp_path / "cache"))
    suite, answers = suite_file(SUITE.replace("beta: [1, 2]", "beta: 1")), {}
    monkeypatch.setattr(estimates, "apart", lambda function, run, *rest: answers[run.family])

    def call(*words, gaussian=None, poisson=None):
        answers.update(gaussian=gaussian or measured(start=36.0, end=36.0), poisson=poisson or measured(start=72.0, end=72.0))
        return cli("plan", suite, "--time", "--results", tmp_path / "r", *words)

    return call


def row(answer, label):
    (line,) = [line for line in answer.out.splitlines() if line.startswith(label) and "|linear" in line and "ms" not in line]
    return line


def test_a_row_a_kind_and_totals(plan):
    """100 steps of 36 and of 72 s, each with two seeds: 1 and 2 hours but for the setup."""
    answer = plan("--cpus", 2)
    assert "2 of 2 kinds measured, 2 of them now" in answer.out
    assert row(answer, "poisson mc digits linear|linear  ").split()[4:] == ["2", "7.2e+04", "100", "5", "s", "2", "h", "00", "min", "1", "GB"]
    assert "whole suite: 4 runs: 6.01 core-hours; 3 h 00 min by the clock, 2 at a time" in answer.out
    assert "left to run: 4 runs: 6.01 core-hours; 3 h 00 min by the clock, 2 at a time" in answer.out
    assert "measuring kind 1 of 2: gaussian mc digits linear|linear" in answer.err
    assert "2 of 2 kinds measured, 0 of them now" in plan("--cpus", 2).out


def test_more_places_take_less(plan):
    assert "2 h 00 min by the clock, 4 at a time" in plan("--cpus", 4).out
    assert "6 h 00 min by the clock, 1 at a time" in plan("--cpus", 1).out


def test_evaluations_that_cannot_be_measured_are_named(plan):
    answer = plan(gaussian=measured(evaluation=None, problem="RuntimeError: untrained"))
    assert "unmeasured" in row(answer, "gaussian mc")
    assert "evaluations unmeasured: gaussian mc digits linear|linear: RuntimeError: untrained" in answer.out


def test_json_has_the_same(plan):
    found = json.loads(plan("--cpus", 2, "--format", "json").out)["time"]
    assert [(kind["label"], kind["measured"]["start"]) for kind in found["kinds"]] == [
        ("gaussian mc digits linear|linear", 36.0),
        ("poisson mc digits linear|linear", 72.0),
    ]
    total = 2 * (7 + 3600) + 2 * (7 + 7200)
    assert found["whole"] == {"runs": 4, "unmeasured": 0, "device_seconds": total, "wall": {"least": total / 2, "most": total / 2}}
    assert found["left"] == found["whole"]


def test_without_a_gpu_all_is_unmeasured(plan, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    answer = plan("--gpus", "0-7")
    assert answer.code == 0
    assert "unmeasured: 4 runs of 2 kinds: this machine has no CUDA GPU" in answer.out
    assert "whole suite" not in answer.out


def test_an_engine_that_cannot_tell_says_so(plan):
    assert "engine slurm does not say how long that is by the clock" in plan("--engine", "slurm").out


def test_plan_without_the_flag_measures_nothing(cli, suite_file, tmp_path, monkeypatch):
    monkeypatch.setattr(estimates, "apart", pytest.fail)
    answer = cli("plan", suite_file(SUITE), "--results", tmp_path / "r", "--format", "json")
    assert json.loads(answer.out)["time"] is None
