"""`latentbench list runs`, and why runs failed."""

import json

import pytest

from latentbench.failure import Failure
from latentbench.reporting.failures import failures_text, grouped
from latentbench.results.store import Store


@pytest.fixture
def listed(cli, tmp_path):
    """`latentbench list runs` of a folder with six runs, of which four failed."""
    failures = {
        "d1": ("non-finite", "loss was not finite at step 10"),
        "d2": ("non-finite", "loss was not finite at step 2000"),
        "e1": ("error", "Traceback\nValueError: \x1b[2Jno"),
        "f1": ("evaluation", "evaluation knn: no labels"),
    }
    for number, run_id in enumerate(("a1234567890123e4", "b1", *failures)):
        kind, message = failures.get(run_id, (None, None))
        status = "failed" if kind not in (None, "evaluation") else "done"
        row = {"run_id": run_id, "family": "lca" if run_id == "b1" else "poisson", "beta": 1e-7, "seed": number, "training": '{"steps": 5}'}
        Store(tmp_path).write_rows("runs", run_id, [{**row, "status": status, "failure_kind": kind, "failure_message": message}])

    def call(*words):
        return cli("list", "runs", "--results", tmp_path, *words)

    return call


def test_failures_have_their_kind_message_and_runs(listed, tmp_path):
    out = listed().out
    assert f"6 runs in {tmp_path}, 4 of them failed\n" in out
    assert "2 failed: non-finite: loss was not finite at step #\n    d1, d2\n" in out
    assert "1 failed: error: ValueError: \\x1b[2Jno\n    e1\n" in out
    assert "1 failed: evaluation knn: no labels\n    f1\n" in out
    assert out.count("failed: non-finite  ") == 2


def test_ids_and_numbers_are_as_they_were_stored(listed):
    """An id that looks like a number is none."""
    (line,) = [line for line in listed().out.splitlines() if line.startswith("a12345")]
    assert line.split() == ["a1234567890123e4", "done", "poisson", "1e-07", "0"]


def test_only_those_that_failed(listed):
    lines = [line.split()[0] for line in listed("--failed").out.splitlines() if line.startswith(("a1", "b1", "d", "e1", "f1"))]
    assert lines == ["d1", "d2", "e1", "f1"]


def test_only_those_of_some_settings(listed, tmp_path):
    assert f"1 runs in {tmp_path}\n" in listed("--only", "family=lca").out
    assert f"5 runs in {tmp_path}, 4 of them failed" in listed("--only", "family=poisson", "--only", "training.steps=5").out
    assert "no result has it (did you mean 'lca'?)" in listed("--only", "family=lcaa").err
    assert "unknown setting 'famly' (did you mean 'family'?)" in listed("--only", "famly=lca").err


def test_flags_of_runs_are_refused_elsewhere(cli):
    assert "--failed is for `latentbench list runs`" in cli("list", "families", "--failed").err
    assert "--only is for `latentbench list runs`" in cli("list", "metrics", "--only", "family=lca").err
    assert "--results is for `latentbench list runs` and `latentbench list metrics`" in cli("list", "families", "--results", "x").err


def test_groups_are_by_cause_the_largest_first():
    """Words that hold digits are words: runs of two parts are two causes."""
    failures = {
        "a": Failure("error", "shape [3, 4] of digits8"),
        "b": Failure("error", "shape [5, 16] of digits8"),
        "c": Failure("error", "shape [5, 16] of digits9"),
        "d": Failure("killed", "shape [5, 16] of digits8"),
        "e": Failure("error", "shape [1e-7, -2.5] of digits8"),
    }
    groups = grouped(failures.items())
    assert [(g.kind, g.message, g.runs) for g in groups] == [
        ("error", "shape [#, #] of digits8", ["a", "b", "e"]),
        ("error", "shape [5, 16] of digits9", ["c"]),
        ("killed", "shape [5, 16] of digits8", ["d"]),
    ]


def test_the_first_runs_of_a_group_are_named_and_the_others_counted():
    groups = grouped((f"run{i}", Failure("error", "x" * 1000)) for i in range(9))
    first, second = failures_text(groups)
    assert first == f"9 failed: error: {'x' * 292}…"
    assert second == "    run0, run1, run2 and 6 more"


def test_status_says_why_and_has_a_stable_json(listed, cli, tmp_path):
    out = cli("status", "--results", tmp_path).out
    assert "2 failed: non-finite: loss was not finite at step #\n    d1, d2\n" in out
    found = json.loads(cli("status", "--results", tmp_path, "--format", "json").out)
    assert found == {
        "results": str(tmp_path),
        "counts": {"done": 2, "failed: non-finite": 2, "failed: error": 1, "failed: evaluation": 1},
        "failures": [
            {"kind": "non-finite", "message": "loss was not finite at step #", "runs": ["d1", "d2"]},
            {"kind": "error", "message": "ValueError: \x1b[2Jno", "runs": ["e1"]},
            {"kind": "evaluation", "message": "evaluation knn: no labels", "runs": ["f1"]},
        ],
        "running": [],
        "queued": [],
        "interrupted": [],
    }
