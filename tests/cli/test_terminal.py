"""Output to terminals of few characters, and to readers that go before it ends."""

import os
import subprocess
import sys

import pandas as pd
import pytest

SUITE = """\
name: piped
seeds: [1, 2]
evaluations: [elbo]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 20, batch_size: 50}}
sweeps:
  - {family: FAMILIES, estimator: mc, dataset: digits}
leaderboard: {metric: nelbo, rows: [family]}
"""
LATENTBENCH = f"{sys.executable} -m latentbench"


def shell(line, folder, **environment):
    """Run a line in bash; the exit codes of its pipe, and what came out of the end."""
    line = f"{line}; echo codes ${{PIPESTATUS[@]}}"
    ran = subprocess.run(["bash", "-c", line], cwd=folder, env={**os.environ, **environment}, capture_output=True, check=False)
    out, _, codes = ran.stdout.rpartition(b"codes ")
    return [int(code) for code in codes.split()], out, ran.stderr.decode()


@pytest.mark.parametrize(("encoding", "sign"), [("ascii", "+/-"), ("latin-1", "±"), ("utf-8", "±")])
def test_a_leaderboard_prints_what_the_terminal_can(encoding, sign, tmp_path, root):
    """The Poisson's 162.1 ± 0.1 with `exact` and a convolutional encoder on CIFAR patches, in the published Table 5."""
    line = f"{LATENTBENCH} compare {root}/results/published --metric nelbo --rows family,estimator --columns dataset,encoder"
    codes, out, err = shell(line, tmp_path, PYTHONIOENCODING=encoding)
    assert (codes, err) == ([0], "")
    assert f"162.1 {sign} 0.1" in out.decode(encoding)


def test_a_message_prints_what_the_terminal_can(tmp_path):
    codes, _, err = shell(f"{LATENTBENCH} run größe….yaml", tmp_path, PYTHONIOENCODING="ascii")
    assert codes == [2]
    assert err == "error: suite file gr\\u00f6\\u00dfe....yaml does not exist\n"


def test_a_word_that_is_not_utf_8_is_named(tmp_path, root):
    """Whether pyarrow refuses it on its way into a table, or no metric has such a name."""
    codes, _, err = shell(f"{LATENTBENCH} compare {root}/results/published --metric $'\\xff'", tmp_path)
    assert codes == [2]
    assert err.startswith(("error: '\\udcff' is not UTF-8", "error: unknown metric '\\udcff'; known: active_fraction, "))
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", ["list", "list families", "--help"])
def test_a_reader_may_go_after_a_line(words, tmp_path):
    codes, out, err = shell(f"{LATENTBENCH} {words} | head -1", tmp_path)
    assert (codes, err) == ([0, 0], "")
    assert out.count(b"\n") == 1


def test_output_may_be_closed(tmp_path):
    codes, _, err = shell(f"{LATENTBENCH} list >&-", tmp_path)
    assert (codes, err) == ([0], "")


def test_a_full_disk_of_the_output_is_one_message(tmp_path):
    codes, _, err = shell(f"{LATENTBENCH} list > /dev/full", tmp_path)
    assert codes == [2]
    assert err.startswith("error: [Errno 28] No space left on device")
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("families", "code"), [("[poisson, gaussian]", 0), ("[test_diverging, gaussian]", 1)])
def test_training_outlives_the_reader_of_its_output(families, code, tmp_path):
    (tmp_path / "suite.yaml").write_text(SUITE.replace("FAMILIES", families))
    codes, _, err = shell(f"{LATENTBENCH} run suite.yaml 2>&1 | true", tmp_path)
    assert codes == [code, 0]
    assert err == ""
    runs = pd.read_parquet(tmp_path / "results" / "runs")
    assert len(runs) == 4
    assert (runs["status"] == "done").sum() == 4 - 2 * code
