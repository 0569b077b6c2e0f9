"""`latentbench verify` on the command line."""

import csv
import io
import json
import subprocess
import sys

import pytest

from latentbench.results.asked import Asked
from tests.reporting.verified import SEEDS, SUITE, World


@pytest.fixture
def world(tmp_path, registry):
    made = World(tmp_path, registry, SUITE + "verify: {bars: 5}\n")
    made.print_table({"poisson": (40.0, 0.1), "gaussian": (40.0, 0.1), "laplace": (40.0, 0.1), "categorical": (40.0, 0.1)})
    made.run("poisson", [40.1 + 0.1 * step for step in SEEDS])
    made.run("laplace", [41.5 + step for step in SEEDS])
    Asked.of(made.plan()).write(made.results)
    return made


def call(cli, world, *words):
    return cli("verify", world.suite, "--results", world.results.path, *words)


def test_what_is_not_different_exits_with_0(world, cli):
    answer = call(cli, world)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0] == "published/table"
    poisson, laplace = (next(line for line in lines if line.startswith(family)) for family in ("poisson", "laplace"))
    assert poisson.split("  ") != laplace.split("  ")
    assert "40.10 ± 0.16 (n = 5)" in poisson
    assert "40.0 ± 0.1" in poisson
    assert poisson.endswith("same")
    assert "cannot tell (+" in laplace
    assert "- 2: no run of it is there" in lines
    assert lines[-1] == "- published/table: 1 same, 1 cannot tell, 2 not run"


@pytest.mark.parametrize(("values", "verdict"), [([50.0 + 0.1 * step for step in SEEDS], "different"), ([50.0], "inconsistent")])
def test_what_is_different_or_inconsistent_exits_with_1(world, cli, values, verdict):
    world.run("gaussian", values)
    answer = call(cli, world)
    assert answer.code == 1
    assert f"1 {verdict}" in answer.out.splitlines()[-1]


def test_csv_has_a_line_for_every_value(world, cli):
    rows = {row["family"]: row for row in csv.DictReader(io.StringIO(call(cli, world, "--format", "csv").out))}
    assert {family: row["verdict"] for family, row in rows.items()} == {
        "poisson": "same", "gaussian": "not run", "laplace": "cannot tell", "categorical": "not run"
    }  # fmt: skip
    assert float(rows["poisson"]["ours"]) == pytest.approx(40.1)
    assert (rows["poisson"]["n"], rows["poisson"]["published"], rows["poisson"]["margin"], rows["poisson"]["source"]) == (
        "5",
        "40.0",
        "0.8",
        "a paper",
    )
    assert int(rows["laplace"]["more_seeds"]) > 0
    assert rows["gaussian"]["reason"] == "no run of it is there"


def test_json_says_how_many_there_are_of_each(world, cli):
    found = json.loads(call(cli, world, "--format", "json").out)
    assert found["tables"] == {"published/table": {"same": 1, "cannot tell": 1, "not run": 2}}
    assert (found["suite"], found["failed"], len(found["values"])) == ("small", False, 4)


def test_github_shows_names_as_they_are(world, cli):
    world.print_table({"poisson": (40.0, 0.1), "<b>|`": (1.0, None)})
    out = call(cli, world, "--format", "github").out
    assert "| --- | --- | --- | --- |" in out
    assert "<b>" not in out
    assert "| poisson | 40.10 ± 0.16 (n = 5) | 40.0 ± 0.1 | same |" in out


def test_a_hostile_name_is_not_obeyed_by_a_terminal(world, cli):
    world.print_table({"poisson": (40.0, 0.1), "laplace": (40.0, 0.1)}, metric="nelbo\x1b[31m")
    assert "\x1b" not in call(cli, world).out


@pytest.mark.parametrize(
    ("words", "message"),
    [(("--format", "pdf"), "pdf"), (("--results", "nowhere"), "nowhere"), (("--results", ""), "expected a path")],
)
def test_mistakes_exit_with_2(world, cli, words, message):
    answer = cli("verify", world.suite, *words)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_neither_torch_nor_scipy_stats_is_needed(world):
    """Once a results folder has a record of the suite."""
    script = (
        "import sys; from pathlib import Path; from latentbench.reporting.verify import verify; "
        "print(len(verify(Path(sys.argv[1]), [Path(sys.argv[2])]).lines), {'torch', 'scipy.stats', 'sklearn'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", script, world.suite, world.results.path]
    answer = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert answer.stdout.split("\n")[0] == "4 set()", answer.stderr
