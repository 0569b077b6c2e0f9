"""What a suite asked for, found without its plugins."""

import subprocess
import sys

import pytest

from latentbench.errors import UserError
from latentbench.registry import load_registry
from latentbench.reporting.asked import asked, other_changes
from latentbench.results import asked as recorded
from latentbench.results.asked import Asked, records
from latentbench.results.store import Store
from latentbench.suites.expand import Changes
from latentbench.suites.plan import make_plan
from latentbench.suites.suite import load_suite

SUITE = """\
name: two
seeds: [1, 2]
evaluations: [elbo, {sparsity: {split: train}}]
sweeps:
  - {family: [poisson, gaussian], estimator: exact, dataset: digits, encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 4}}
leaderboard: {metric: nelbo, rows: [family]}
"""


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(SUITE)
    return path


def plan(suite, **changes):
    return make_plan(load_suite(suite), load_registry(), "cpu", Changes(**changes))


def test_a_record_says_what_the_plan_says(suite, tmp_path):
    made = plan(suite)
    Asked.of(made, ["latentbench", "run", "two.yaml"]).write(Store(tmp_path / "r"))
    (read,) = records(tmp_path / "r")
    assert (read.name, read.expect, read.command) == ("two", [], ["latentbench", "run", "two.yaml"])
    assert read.leaderboard == made.leaderboard
    assert {run_id: dict(row) for run_id, row in read.runs.items()} == {item.run.id: item.run.to_row() for item in made.runs}
    assert read.evaluations == {item.run.id: frozenset(e.id for e in item.evaluations) for item in made.runs}
    assert sorted(read.titles.values()) == ["elbo", "sparsity(split=train)"]


def test_without_a_record_the_suite_is_planned_and_with_one_it_is_not(suite, tmp_path):
    found = asked(suite, [tmp_path / "r"])
    assert set(found.runs) == {item.run.id for item in plan(suite).runs}
    Asked.of(plan(suite)).write(Store(tmp_path / "r"))
    code = "import sys; from pathlib import Path; from latentbench.reporting.asked import asked\n"
    code += f"print(len(asked(Path({str(suite)!r}), [Path({str(tmp_path / 'r')!r})]).runs), 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["4", "False"]


def test_a_record_of_a_changed_suite_is_not_the_suites_own(suite, tmp_path):
    Asked.of(plan(suite, scale=0.5, seeds=[3])).write(Store(tmp_path / "r"))
    assert other_changes(suite, [tmp_path / "r"]) == ["--seeds 3 --scale 0.5"]
    assert {row["seed"] for row in asked(suite, [tmp_path / "r"]).runs.values()} == {1, 2}


def test_comments_do_not_make_another_suite_and_values_do(suite):
    before = load_suite(suite).digest
    suite.write_text("# a comment\n" + SUITE)
    assert load_suite(suite).digest == before
    suite.write_text(SUITE.replace("[1, 2]", "[1, 3]"))
    assert load_suite(suite).digest != before


def test_an_included_suite_counts(suite, tmp_path):
    outer = tmp_path / "outer.yaml"
    outer.write_text("name: outer\ninclude: [two.yaml]\n")
    before = load_suite(outer).digest
    suite.write_text(SUITE.replace("[1, 2]", "[1, 3]"))
    assert load_suite(outer).digest != before


def test_a_record_that_other_code_has_made_does_not_count(suite, tmp_path, monkeypatch):
    Asked.of(plan(suite)).write(Store(tmp_path / "r"))
    monkeypatch.setattr(recorded, "code", lambda: "another")
    assert records(tmp_path / "r") == []


def test_a_damaged_record_is_named(suite, tmp_path):
    Asked.of(plan(suite)).write(Store(tmp_path / "r"))
    (path,) = (tmp_path / "r" / "plans").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=rf"{path.name} is damaged .* remove it"):
        asked(suite, [tmp_path / "r"])
