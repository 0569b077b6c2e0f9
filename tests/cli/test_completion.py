"""The shell's completion, through the protocols of the shells; none of it imports torch."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from latentbench.results.store import Store
from tests.timing import times_as_long

COMMAND = Path(sys.executable).with_name("latentbench")
SUITE = """\
name: test
sweeps:
  - {family: [poisson, lca], beta: [0.5, 1], family_options: {iterations: 3}, encoder_options: {bias: [true, false]}, zip: {dataset: [digits]}}
"""


@pytest.fixture
def complete(tmp_path, root):
    (tmp_path / "suite.yaml").write_text(SUITE)
    (tmp_path / "results").symlink_to(root / "results" / "published")
    Store(tmp_path / "made").write_rows("metrics", "a-knn-1", [{"run_id": "a", "evaluation": "knn", "evaluation_id": "knn-1", "metric": "x"}])
    (tmp_path / "bad.yaml").write_text("name: [")
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for module in ("torch", "pandas"):
        (blocked / f"{module}.py").write_text("raise ImportError\n")

    def completed(words, shell="bash"):
        line = f"latentbench {words}"
        asked = {
            "bash": {"COMP_WORDS": line, "COMP_CWORD": str(words.count(" ") + 1)},
            "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        }[shell]
        environment = {**os.environ, "PYTHONPATH": str(blocked), "_LATENTBENCH_COMPLETE": f"complete_{shell}", **asked}
        ran = subprocess.run([COMMAND], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout.split()

    return completed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("pla", ["plan"]),
        ("list fam", ["families"]),
        ("run suite.yaml --set training.b", ["training.batch_size=", "training.beta_anneal=", "training.beta_hold=", "training.beta_min="]),
        ("run suite.yaml --set family", ["family=", "family_options.iterations="]),
        ("plan --only fam", ["family="]),
        ("plan bad.yaml --only fam", ["family="]),
        ("compare --rows family,est", ["family,estimator"]),
        ("compare --columns dat", ["dataset"]),
        ("compare --metric nel", ["nelbo"]),
        ("compare nowhere --metric nel", []),
        ("eval", ["evaluate"]),
        ("list met", ["metrics"]),
        ("show --form", ["--format"]),
        ("evaluate made --evaluation kn", ["knn"]),
        ("evaluate nowhere --evaluation kn", []),
    ],
)
def test_names(words, expected, complete):
    assert complete(words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("run suite.yaml --only family=", ["family=poisson", "family=lca"]),
        ("run suite.yaml --only family=poisson,l", ["family=poisson,lca"]),
        ("run suite.yaml --only beta=", ["beta=0.5", "beta=1"]),
        ("run suite.yaml --set encoder_options.bias=t", ["encoder_options.bias=true"]),
        ("run suite.yaml --only dataset=", ["dataset=digits"]),
        ("run suite.yaml --only nothing=", []),
    ],
)
def test_values_are_those_of_the_suite(words, expected, complete):
    assert complete(words, "fish") == expected


def test_it_is_quick(complete):
    """At most 2.5 times what importing its libraries takes, some .17 s: nobody waits half a second after a tab."""
    libraries = "import importlib.metadata, pluggy, pydantic, typer.main, typer.completion, yaml; pydantic.BaseModel"
    imports = partial(subprocess.run, [sys.executable, "-c", libraries], check=True)
    assert times_as_long(lambda: complete("run suite.yaml --only fam"), imports) < 2.5


def test_the_shell_gets_its_script(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "SHELL": "/bin/bash", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}

    def call(*words):
        return subprocess.run([COMMAND, *words], env=environment, capture_output=True, text=True, check=False)

    shown = call("--show-completion", "bash")
    assert shown.returncode == 0
    assert "_LATENTBENCH_COMPLETE=complete_bash" in shown.stdout
    installed = call("--install-completion", "bash")
    assert installed.returncode == 0, installed.stderr
    assert any("_LATENTBENCH_COMPLETE=complete_bash" in path.read_text() for path in tmp_path.rglob("*.sh"))
