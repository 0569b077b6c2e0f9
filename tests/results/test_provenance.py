"""What is stored of the code is the code that ran, whatever happens to its files."""

import json

import pandas as pd
import pytest

from latentbench.imported import meaning
from tests.kit import Plugin

SUITE = """\
name: edited
seeds: [1]
evaluations: [elbo]
defaults: {encoder: linear, decoder: linear, latent_dim: 3, training: {epochs: 2, batch_size: 500}}
sweeps:
  - {family: edited, estimator: mc, dataset: digits}
"""
BOTH = SUITE.replace("[elbo]", "[elbo, counted, counted_too]")
INLINE = ("--engine", "test_inline")


@pytest.fixture
def plugin(tmp_path):
    return Plugin(tmp_path / "plugin")


@pytest.fixture
def suite(suite_file):
    return suite_file(SUITE)


def state(answer):
    """What `plan` says of the only run."""
    (line,) = [line for line in answer.stdout.splitlines() if " edited " in line and "digits" in line]
    return line.split("epochs", 1)[1]


def test_the_hash_is_that_of_the_code_that_ran(plugin, suite, tmp_path):
    """The plugin is edited while its run trains: what is stored is of the code before, so the run is stale."""
    ran = plugin.latentbench("run", suite, "--results", tmp_path / "r", *INLINE, EDITED_WHILE_IT_TRAINS="SCALE = 2.0")
    assert ran.returncode == 0, ran.stderr
    assert "SCALE = 2.0" in plugin.path.read_text()
    planned = plugin.latentbench("plan", suite, "--results", tmp_path / "r")
    assert "stale (changed since: latentbench_edited.py)" in state(planned)


def test_a_process_with_other_code_than_was_planned_with_does_not_execute(plugin, suite, tmp_path):
    """The file changes between its import by the command and that by the fork server."""
    ran = plugin.latentbench("run", suite, "--results", tmp_path / "r", "--cpus", "1", EDITED_AT_IMPORT="SCALE = 2.0")
    assert ran.returncode == 2, ran.stdout
    assert "planned with other code than this process has: latentbench_edited.py changed" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not list((tmp_path / "r" / "runs").glob("*.parquet"))


def test_code_is_what_it_means(plugin, suite, tmp_path):
    """Comments, docstrings and layout are not part of it."""
    plugin.latentbench("run", suite, "--results", tmp_path / "r", *INLINE)
    plugin.edit("SCALE = 1.0", "\n\nSCALE = 1.0  # of the posterior")
    plugin.edit('"""Gaussian latents."""', '"""Latents that are Gaussian."""')
    assert "done" in state(plugin.latentbench("plan", suite, "--results", tmp_path / "r"))
    plugin.edit("Normal(features, SCALE", "Normal(features, 2 * SCALE")
    assert "stale (changed since: latentbench_edited.py)" in state(plugin.latentbench("plan", suite, "--results", tmp_path / "r"))


SOURCE = "import os\n\ndef double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (SOURCE + "# a comment\n", True),
        (SOURCE.replace("\n    return", "\n\n    return"), True),
        (SOURCE.replace("(x):\n", '(x):\n    """Twice."""\n'), True),
        ('"""A module."""\n' + SOURCE, True),
        (SOURCE.replace("2 * x", "(2 * x)"), True),
        (SOURCE.replace("2", "3"), False),
        (SOURCE.replace("2 * x", "x * 2"), False),
        (SOURCE.replace("import os", "import re"), False),
        (SOURCE.replace("2", "'2'"), False),
        (SOURCE.replace("(x)", "(x=None)"), False),
    ],
)
def test_meaning(other, same):
    assert (meaning(SOURCE.encode()) == meaning(other.encode())) is same


def test_only_modules_that_a_run_depends_on_count(plugin, suite, tmp_path):
    """Of a package, the modules that the part imports; not those that stand beside it."""
    package = plugin.folder / "latentbench_edited"
    package.mkdir()
    plugin.path.rename(package / "family.py")
    (package / "__init__.py").write_text("from latentbench_edited.family import *\nfrom latentbench_edited import other\n")
    (package / "other.py").write_text("OTHER = 1\n")
    plugin.path = package / "family.py"
    plugin.edit("SCALE = 1.0", "from latentbench_edited.scale import SCALE")
    (package / "scale.py").write_text("SCALE = 1.0\n")
    plugin.latentbench("run", suite, "--results", tmp_path / "r", *INLINE)
    (package / "other.py").write_text("OTHER = 2\n")
    assert "done" in state(plugin.latentbench("plan", suite, "--results", tmp_path / "r"))
    (package / "scale.py").write_text("SCALE = 2.0\n")
    assert "stale (changed since: latentbench_edited/scale.py)" in state(plugin.latentbench("plan", suite, "--results", tmp_path / "r"))


INTERRUPT = """
import sys
from pathlib import Path
from latentbench.execution.control import Control, InterruptedRunError
from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.suites.plan import make_plan
from latentbench.registry import load_registry
from latentbench.results.store import Store
from latentbench.suites.suite import load_suite
item = make_plan(load_suite(Path(sys.argv[1])), load_registry(), "cpu").runs[0]
try:
    execute(Job(item.run, item.evaluations), load_registry(), Store(Path(sys.argv[2])), "cpu", Control(stopping=lambda: True))
except InterruptedRunError:
    print("interrupted")
"""


@pytest.mark.slow
def test_other_code_does_not_resume_a_saved_state(plugin, suite, tmp_path):
    assert "interrupted" in plugin.call("-c", INTERRUPT, suite, tmp_path / "r").stdout
    assert "interrupted" in state(plugin.latentbench("plan", suite, "--results", tmp_path / "r"))
    plugin.edit("SCALE = 1.0", "SCALE = 2.0")
    planned = state(plugin.latentbench("plan", suite, "--results", tmp_path / "r"))
    assert "interrupted (starts anew: its state was made by other code, latentbench_edited.py changed" in planned
    ran = plugin.latentbench("run", suite, "--results", tmp_path / "r", *INLINE)
    assert "starts anew" in ran.stdout + ran.stderr
    plugin.latentbench("run", suite, "--results", tmp_path / "calm", *INLINE)
    one, other = (pd.read_parquet(tmp_path / folder / "history") for folder in ("r", "calm"))
    assert one.equals(other)


def test_prepared_data_are_those_of_the_code_that_prepares_them(plugin, tmp_path):
    code = "from pathlib import Path; from latentbench.registry import load_registry; import sys\n"
    code += "print(float(load_registry().dataset('shades')().load(Path(sys.argv[1])).train.images.max()))"
    load = ("-c", code, tmp_path / "cache")
    assert plugin.call(*load).stdout == "1.0\n"
    plugin.edit("SCALE = 1.0", "SCALE = 3.0")
    assert plugin.call(*load).stdout == "3.0\n"
    plugin.edit("SCALE = 3.0", "SCALE = 1.0")
    assert plugin.call(*load).stdout == "1.0\n"


@pytest.mark.slow
def test_a_worker_with_another_version_leaves_a_run_queued_and_names_both(plugin, suite, tmp_path):
    queued = (
        INTERRUPT.partition("try:")[0]
        + "from latentbench.execution.queue import enqueue\nenqueue(Path(sys.argv[2]), 's', [Job(item.run, ())], True)\n"
    )
    (tmp_path / "r").mkdir()
    assert plugin.call("-c", queued, suite, tmp_path / "r").returncode == 0
    plugin.edit('version = "1"', 'version = "2"')
    answer = plugin.latentbench("worker", tmp_path / "r", *INLINE)
    assert answer.returncode == 2
    assert "of family 'edited' version 1, and version 2 is installed here" in answer.stderr
    assert not (tmp_path / "r" / "runs").exists()
    assert "1 queued" in plugin.latentbench("status", "--results", tmp_path / "r").stdout
    plugin.edit('version = "2"', 'version = "1"')
    assert plugin.latentbench("worker", tmp_path / "r", *INLINE).returncode == 0
    assert len(pd.read_parquet(tmp_path / "r" / "runs")) == 1


def test_only_the_evaluations_that_are_missing_are_run(plugin, suite_file, tmp_path):
    words = ("--results", tmp_path / "r", *INLINE)
    assert plugin.latentbench("run", suite_file(SUITE.replace("[elbo]", "[elbo, counted]")), *words).returncode == 0
    assert plugin.calls() == ["counted"]
    assert plugin.latentbench("run", suite_file(BOTH), *words).returncode == 0
    assert plugin.calls() == ["counted_too"]


@pytest.mark.slow
def test_a_stale_run_that_lacks_an_evaluation_says_both_and_is_measured_without_training(plugin, suite_file, tmp_path):
    words = ("--results", tmp_path / "r")
    plugin.latentbench("run", suite_file(SUITE.replace("[elbo]", "[elbo, counted]")), *words, *INLINE)
    before = pd.read_parquet(tmp_path / "r" / "runs")
    plugin.edit("SCALE = 1.0", "SCALE = 2.0")
    planned = state(plugin.latentbench("plan", suite_file(BOTH), *words))
    assert "stale (changed since: latentbench_edited.py; without counted_too)" in planned
    plugin.calls()
    kept = plugin.latentbench("run", suite_file(BOTH), *words, *INLINE)
    assert "--accept stale measures what they lack" in kept.stdout
    assert plugin.calls() == []
    assert plugin.latentbench("run", suite_file(BOTH), *words, *INLINE, "--accept", "stale").returncode == 0
    assert plugin.calls() == ["counted_too"]
    after = pd.read_parquet(tmp_path / "r" / "runs")
    assert (after["started"] == before["started"]).all()  # it was not trained again
    assert (after["sources"] == before["sources"]).all()
    measured = pd.read_parquet(tmp_path / "r" / "evaluations").set_index("evaluation")["sources"].map(json.loads)
    old, new = (measured[name]["latentbench_edited.py"] for name in ("counted", "counted_too"))
    assert old == json.loads(before["sources"][0])["latentbench_edited.py"]
    assert new != old
    both = plugin.latentbench("run", suite_file(BOTH), *words, "--accept", "stale", "--refresh", "stale")
    assert both.returncode == 2
    assert "choose one" in both.stderr


@pytest.mark.slow
def test_refresh_measures_again_what_other_code_has_measured(plugin, suite_file, tmp_path):
    """The model's code is as it was: nothing is trained."""
    words = ("--results", tmp_path / "r", *INLINE)
    suite = suite_file(SUITE.replace("edited, est", "gaussian, est").replace("[elbo]", "[elbo, counted]"))
    plugin.latentbench("run", suite, *words)
    before = pd.read_parquet(tmp_path / "r" / "runs")
    plugin.edit("SCALE = 1.0", "SCALE = 2.0")
    plugin.calls()
    for expected in (["counted"], []):  # a second time there is nothing to do
        assert plugin.latentbench("run", suite, *words, "--refresh", "stale").returncode == 0
        assert plugin.calls() == expected
    metrics = pd.read_parquet(tmp_path / "r" / "metrics").set_index("metric")["value"]
    assert metrics["counted"] == 2.0
    assert (pd.read_parquet(tmp_path / "r" / "runs")["started"] == before["started"]).all()


def test_rows_that_the_engine_writes_say_when_and_where(plugin, suite, tmp_path):
    """An out-of-memory run keeps its traceback."""
    assert plugin.latentbench("run", suite, "--results", tmp_path / "r", "--cpus", "1", EDITED_FAILS="memory").returncode == 1
    row = pd.read_parquet(tmp_path / "r" / "runs").iloc[0]
    assert row["failure_kind"] == "out-of-memory"
    assert "in posterior_distribution" in row["failure_message"]
    assert row["failure_message"].strip().endswith("MemoryError: planted")
    assert row[["started", "host", "versions", "git_sha", "device_name", "numerics"]].notna().all()
    assert row["wall_seconds"] > 0
