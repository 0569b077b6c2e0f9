"""What happens to a results folder while a suite runs in it, from a real command line."""

import time

import pytest

from latentbench.results.store import Store
from tests.kit import TWELVE, Suite


@pytest.mark.slow
def test_a_limit_of_the_size_of_files_is_a_full_disk(tmp_path):
    """`ulimit -f 12`: files of 12 kB, which a model of 64 latents does not fit into. Nothing counts as failed, and without the limit all is done."""
    suite = Suite(tmp_path / "suite", TWELVE.replace("[1, 2, 3]", "[1]").replace("latent_dim: 4", "latent_dim: 64").replace("400", "5"))
    suite.prefix = ("bash", "-c", 'ulimit -f 12; exec "$@"', "bash")
    code, out = suite.finish()
    assert code == 2, out
    assert "Traceback" not in out
    (told,) = (line for line in out.splitlines() if line.startswith("error: "))
    assert "File too large: " in told
    assert "What is stored is whole; the same command continues once the folder can be written" in told
    assert Store(suite.folder / "results").read("runs").empty
    suite.prefix = ()
    code, out = suite.finish()
    assert code == 0, out
    assert set(Store(suite.folder / "results").read("runs")["status"]) == {"done"}


@pytest.mark.slow
def test_a_folder_that_is_removed_while_a_suite_runs_is_named_as_such(tmp_path):
    suite = Suite(tmp_path / "suite")
    results, process = suite.folder / "results", suite.start()
    while len(list((results / "runs").glob("*.parquet"))) < 2 and process.poll() is None:
        time.sleep(0.05)
    results.rename(suite.folder / "removed")
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 2, out
    assert "error: results was removed while its runs were being worked on; the same command begins anew" in out
    assert "Traceback" not in out
    assert "cancel" not in out
    assert not suite.wait_until_gone()


@pytest.mark.slow
def test_a_file_in_place_of_logs_is_told_before_anything_runs(tmp_path):
    suite = Suite(tmp_path / "suite")
    (suite.folder / "results").mkdir()
    (suite.folder / "results" / "logs").write_text("")
    code, out = suite.finish()
    assert (code, out) == (2, "error: results/logs is in the way: results have a folder of that name; move it away\n")
    assert [path.name for path in (suite.folder / "results").iterdir()] == ["logs"]
