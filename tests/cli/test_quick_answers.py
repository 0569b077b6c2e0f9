"""What is answered from tables alone, without torch, plugins or pandas: in well under a second of CPU time on 1,000 runs."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pytest

from latentbench.results.tables import table_schema, to_bytes

RUNS = 1000
METRICS = ("nelbo", "reconstruction", "kl", "r2", "active_fraction", "dead_units", "lifetime_sparsity", "zero_fraction")
COMMANDS = {
    "show": ("show", f"{RUNS // 2:016x}"),
    "show --full": ("show", f"{RUNS // 2:016x}", "--full"),
    "status": ("status",),
    "list runs": ("list", "runs"),
    "list metrics": ("list", "metrics"),
}
MAX_SECONDS = 1.0
"""CPU time. A command takes .4 s on an idle machine and up to .7 s where others compete for its caches."""

MAIN = """
from latentbench.__main__ import main
try:
    main()
finally:
    print(*{"torch", "pandas", "scipy", "latentbench.registry"} & set(sys.modules), file=sys.stderr)
"""


def rows_of(number):
    """The rows of a run in each table."""
    run_id = f"{number:016x}"
    sources = json.dumps({f"latentbench/file{i}.py": f"{i:016x}" for i in range(30)})
    run = {"run_id": run_id, "status": "done", "family": "poisson", "estimator": "mc", "dataset": "digits", "encoder": "linear", "decoder": "linear"}
    run |= {
        "latent_dim": 512,
        "beta": 1.0,
        "seed": number,
        "training": '{"steps": 30, "batch_size": 50}',
        "sources": sources,
        "versions": '{"torch": "2"}',
    }
    if number % 50 == 7:
        run |= {"status": "failed", "failure_kind": "non-finite", "failure_message": f"loss was not finite at step {number}"}
    evaluations, metrics = [], []
    for evaluation in ("elbo", "sparsity", "active_units", "knn"):
        key = {"run_id": run_id, "evaluation": evaluation, "evaluation_id": f"{evaluation}-12345678"}
        measures = {name: {"better": "lower", "unit": "nats", "meaning": "A number.", "index": None} for name in METRICS}
        evaluations.append({**key, "options": "{}", "metrics": json.dumps(measures), "version": "1", "sources": sources})
        metrics += [{**key, "split": "validation", "metric": name, "value": number / 7, "n": 360} for name in METRICS]
    return {"runs": [run], "evaluations": evaluations, "metrics": metrics}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A compacted folder of 1,000 runs."""
    base = tmp_path_factory.mktemp("many")
    every = [rows_of(number) for number in range(RUNS)]
    for table in ("runs", "evaluations", "metrics"):
        rows = pa.Table.from_pylist([row for rows in every for row in rows[table]], schema=table_schema(table))
        (base / table).mkdir()
        (base / table / "compact-000001.parquet").write_bytes(to_bytes(table, rows))
    return base


@pytest.mark.parametrize("command", COMMANDS)
def test_an_answer_is_quick_and_loads_no_torch_or_pandas(command, folder):
    """One of three tries, as the machine's other work costs time of the CPU too."""
    words, times = [*COMMANDS[command], "--results", str(folder)], []
    while len(times) < 3 and min(times, default=MAX_SECONDS) >= MAX_SECONDS:
        before = os.times()
        code = f"import sys\nsys.argv = ['latentbench', *{words!r}]\n{MAIN}"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        after = os.times()
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr.split() == [], "heavy modules were imported"
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(times) < MAX_SECONDS


def test_the_answers_are_about_the_folder(folder, cli):
    out = {command: cli(*words, "--results", folder).out for command, words in COMMANDS.items()}
    assert "980 done, 20 failed: non-finite" in out["status"]
    assert "20 failed: non-finite: loss was not finite at step #\n" in out["status"]
    assert f"1000 runs in {folder}, 20 of them failed" in out["list runs"]
    assert "By active_units, elbo, knn, sparsity. On validation, of 1000 runs." in " ".join(out["list metrics"].split())
    assert "\nnelbo: lower is better, nats\n    A number." in out["list metrics"]
    assert out["show"].startswith(f"run {RUNS // 2:016x}: poisson mc digits linear|linear seed 500\ndone\n")
