"""`latentbench show`: metrics first, readable at 80 columns, all of it as JSON; whatever strangers have written."""

import json
import re

import pytest

from latentbench.execution.compaction import compact
from latentbench.results.store import Store

RUN = "abc0123456789def"
MEASURES = {
    "nelbo": {"better": "lower", "unit": "nats", "meaning": "Negative evidence lower bound.", "index": None},
    "active_fraction_at": {"better": None, "unit": "share of latents", "meaning": "Active.", "index": "threshold"},
}


def store_run(results, run_id=RUN, row=(), metrics=True):
    """A run that two evaluations of one name have measured, in a folder; `row` changes its row."""
    store = Store(results)
    for number, options in enumerate(({"rule": "paper"}, {"rule": "threshold", "threshold": 0.5})) if metrics else ():
        key = {"run_id": run_id, "evaluation": "active_units", "evaluation_id": f"active_units-{number}"}
        point = {**key, "split": "validation", "n": 360}
        rows = [
            {**point, "metric": "nelbo", "value": 123.456789 + number, "standard_error": 0.01234},
            *({**point, "metric": "active_fraction_at", "index_name": "threshold", "index": i, "value": i / 2} for i in (0.001, 1.0)),
        ]
        store.write_rows("metrics", f"{run_id}-active_units-{number}", rows)
        about = {"options": json.dumps(options), "metrics": json.dumps(MEASURES), "version": "4", "sources": '{"a.py": "1234567890abcdef"}'}
        store.write_rows("evaluations", f"{run_id}-active_units-{number}", [{**key, **about}])
    whole = {
        "run_id": run_id,
        **{"status": "done", "family": "poisson", "estimator": "mc", "dataset": "digits", "encoder": "linear", "decoder": "mlp", "seed": 3},
        **{"training": '{"steps": 30}', "sources": '{"b.py": "fedcba0987654321"}', "versions": '{"torch": "2.9"}', "peak_memory_bytes": 5_510_000},
        **{"host": "here", "wall_seconds": 125.0},
    }
    store.write_rows("runs", run_id, [{**whole, **dict(row)}])


@pytest.fixture
def show(cli, tmp_path):
    def call(*words):
        return cli("show", RUN[:5], "--results", tmp_path, *words)

    return call


def test_metrics_come_first_and_hashes_only_in_full(show, tmp_path):
    store_run(tmp_path)
    out = show().out
    assert out.startswith(f"run {RUN}: poisson mc digits linear|mlp seed 3\ndone\n")
    places = [out.index(text) for text in ("active_units(rule=paper) on validation", "123.457", "settings and cost", "training.steps")]
    assert places == sorted(places)
    assert "5.51 MB" in out
    assert not re.search("1234567890abcdef|fedcba0987654321|2.9", out)
    full = show("--full").out
    assert all(re.search(text, full) for text in (r"sources\.a\.py +1234567890abcdef", r"sources\.b\.py +fedcba0987654321", r"versions\.torch +2\.9"))


def test_evaluations_of_one_metric_are_told_apart(show, tmp_path):
    store_run(tmp_path)
    out = show().out
    first, second = out.index("active_units(rule=paper) on"), out.index("active_units(rule=threshold, threshold=0.5) on")
    assert first < out.index("123.457 ") < second < out.index("124.457 ")


def test_evaluations_of_the_same_options_are_told_apart_by_their_ids(show, tmp_path):
    """As a version was raised between them."""
    store_run(tmp_path)
    for number in (0, 1):
        row = {"run_id": RUN, "evaluation": "active_units", "evaluation_id": f"active_units-{number}", "options": "{}", "version": str(number)}
        Store(tmp_path).write_rows("evaluations", f"{RUN}-active_units-{number}", [row])
    assert all(f"active_units, active_units-{number} on validation" in show().out for number in (0, 1))


def test_points_of_a_curve_are_below_its_name_with_unit_and_error(show, tmp_path):
    store_run(tmp_path)
    expected = """\
  metric                value   s.e.    n  unit
  nelbo               123.457  0.012  360  nats
  active_fraction_at                       share of latents
    at threshold 0.001  0.0005         360
    at threshold 1         0.5         360
"""
    lines = [line.split() for line in expected.splitlines()]
    shown = show().out
    found = [line.split() for line in shown[shown.index("  metric") :].splitlines()]
    assert found[: len(lines)] == lines


def test_it_fits_80_columns(show, tmp_path):
    store_run(tmp_path, row={"family_options": json.dumps({"note": "x" * 300})})
    assert max(map(len, show().out.splitlines())) <= 80 + len(str(tmp_path))
    assert max(map(len, show().out.split("arrays:")[0].splitlines())) <= 80


def test_a_failed_run_has_its_message_its_traceback_and_its_log(show, tmp_path):
    text = "Traceback (most recent call last):\n  File 'a.py', line 1\nValueError: too bad"
    store_run(tmp_path, row={"status": "failed", "failure_kind": "error", "failure_message": text}, metrics=False)
    log = Store(tmp_path).log_path(RUN)
    log.parent.mkdir()
    log.write_text("printed")
    out = show().out
    assert out.splitlines()[1] == "failed: error: ValueError: too bad"
    assert "  Traceback (most recent call last):\n    File 'a.py', line 1\n  ValueError: too bad\n" in out
    assert f"what it printed is in {log}" in out


def test_a_failed_evaluation_leaves_the_run_trained(show, tmp_path):
    store_run(tmp_path, row={"failure_kind": "evaluation", "failure_message": "evaluation knn: no labels"})
    assert show().out.splitlines()[1] == "trained; failed: evaluation knn: no labels"


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_strangers_wrote_moves_no_cursor(show, tmp_path, form):
    hostile = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"
    store_run(tmp_path, row={"failure_kind": "error", "failure_message": f"{hostile}\n{hostile}", "family": hostile, "host": hostile})
    out = show("--full", "--format", form).out
    assert "owned" in out
    assert all(character.isprintable() or character == "\n" for character in out)


def test_the_shape_of_the_json(show, tmp_path):
    """Programs rely on these names."""
    store_run(tmp_path, row={"failure_kind": "error", "failure_message": "Traceback\nValueError: no", "wall_seconds": float("nan")})
    found = json.loads(show("--format", "json").out)
    assert set(found) == {"run", "failure", "metrics", "evaluations", "files"}
    assert found["failure"] == {"kind": "error", "message": "ValueError: no", "traceback": "Traceback\nValueError: no"}
    assert (found["run"]["run_id"], found["run"]["training"], found["run"]["wall_seconds"]) == (RUN, {"steps": 30}, None)
    metric = found["metrics"][0]
    assert {name: metric[name] for name in ("title", "metric", "n", "better", "unit", "meaning")} == {
        **{"title": "active_units(rule=paper)", "metric": "nelbo", "n": 360},
        **{"better": "lower", "unit": "nats", "meaning": "Negative evidence lower bound."},
    }
    assert found["evaluations"][0]["options"] == {"rule": "paper"}


def test_one_run_of_many_before_and_after_compaction(cli, tmp_path):
    for number, run_id in enumerate(("aa1", "aa2", "b3")):
        store_run(tmp_path, run_id, {"seed": number})
    before = [cli("show", run_id, "--results", tmp_path, "--full").out for run_id in ("aa1", "aa2", "b")]
    assert compact(tmp_path) > 0
    assert [cli("show", run_id, "--results", tmp_path, "--full").out for run_id in ("aa1", "aa2", "b")] == before
    several = cli("show", "aa", "--results", tmp_path)
    assert several.code == 2
    assert "2 runs begin with 'aa': aa1, aa2" in several.err
    Store(tmp_path).update_run("aa2", {"seed": 7})
    assert "seed 7" in cli("show", "aa2", "--results", tmp_path).out
    assert cli("show", "aa1", "--results", tmp_path, "--full").out == before[0]
    Store(tmp_path).forget("aa2")
    assert "no run begins with 'aa2'" in cli("show", "aa2", "--results", tmp_path).err


def test_rows_of_another_run_in_a_file_of_this_one_are_damage(show, tmp_path):
    store_run(tmp_path)
    Store(tmp_path).write_rows("metrics", f"{RUN}-x", [{"run_id": "other", "evaluation_id": "x", "metric": "nelbo", "value": 0.0}])
    answer = show()
    assert answer.code == 2
    assert f"{RUN}-x.parquet is damaged (it has rows of another run than {RUN})" in answer.err
