"""What latentbench itself costs."""

import json
import statistics
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latentbench.results.tables import METADATA_KEY, SCHEMA_VERSION, TABLES

RUNS = 200
SUITE = f"""\
name: many
seeds: {list(range(1, RUNS + 1))}
sweeps:
  - {{family: gaussian, estimator: exact, dataset: digits, encoder: linear, decoder: linear, latent_dim: 4, training: {{steps: 1, batch_size: 50}}}}
"""


WATCHED = """
import ctypes, os, resource, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: a fork server that outlives its parent is waited for here, with all its workers
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(done.stdout, done.stderr, sep="")
print(done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
"""


def cost(*words):
    """CPU seconds, most bytes, and output of Python with ``words`` and of all processes that it leaves."""
    out = subprocess.run([sys.executable, "-c", WATCHED, sys.executable, *map(str, words)], capture_output=True, text=True, check=True).stdout
    text, _, last = out.rstrip().rpartition("\n")
    returncode, seconds, most = last.split()
    assert returncode == "0", text
    return float(seconds), int(most), text


def times_as_costly(words, baseline, tries=3):
    """How many times the CPU time of ``baseline`` the command takes: the median of ratios, the two in turns, as other work slows both."""
    ratios = []
    for _ in range(tries):
        seconds, most, text = cost(*words)
        ratios.append(seconds / cost(*baseline)[0])
    return statistics.median(ratios), most, text


TORCH = ("-c", "import torch")


@pytest.mark.slow
def test_two_hundred_runs_of_one_step_cost_little_each(tmp_path, suite_file):
    """Of CPU time, less than a third of what importing torch takes, what starting the command costs once included."""
    results, suite = tmp_path / "r", suite_file(SUITE)
    ratio, _, _ = times_as_costly(("-m", "latentbench", "run", suite, "--results", results, "--cpus", "2"), TORCH, tries=1)
    runs = pd.read_parquet(results / "runs")
    assert len(runs) == RUNS
    assert set(runs["status"]) == {"done"}
    print(f"{ratio / RUNS:.3f} times importing torch")
    assert ratio / RUNS < 0.3


@pytest.mark.slow
def test_planning_all_of_the_paper_takes_no_longer_than_importing_torch(root, tmp_path):
    planning = (
        "from pathlib import Path; from latentbench.runner import planned; from latentbench.suites.launch import Launch; "
        "from latentbench.suites.plan import Changes; "
        f"print(len(planned(Path({str(root / 'suites' / 'paper.yaml')!r}), Path({str(tmp_path)!r}), Launch(), Changes())[0].runs))"
    )
    ratio, _, text = times_as_costly(("-c", planning), TORCH)
    assert int(text) > 1000
    print(f"{text.strip()} runs planned in {ratio - 1:.2f} times importing torch, beyond importing it")
    assert ratio - 1 < 1


@pytest.mark.slow
def test_a_compacted_store_of_a_hundred_thousand_runs_opens_quickly(tmp_path):
    """In less than three times what importing torch takes, which repeats to a tenth where reading its tables with pandas varies fourfold."""
    made(tmp_path / "r", 100_000)
    words = ("-m", "latentbench", "compare", tmp_path / "r", "--rows", "family", "--columns", "dataset", "--only", "latent_dim=3")
    ratio, most, text = times_as_costly(words, TORCH)
    assert text.count("±") == 13  # twelve cells, and the line that says what they are
    print(f"{ratio:.2f} times importing torch, {most / 2**30:.2f} GiB")
    assert ratio < 3
    assert most < 2 * 2**30


def made(folder, n):
    """A compacted store of `n` runs with eight metrics each, as `latentbench compact` leaves one."""
    number = np.arange(n)
    runs = pd.DataFrame(dict.fromkeys(TABLES["runs"]), index=number)
    runs["run_id"] = [f"{i:016x}" for i in number]
    runs["family"] = np.array(["poisson", "gaussian", "laplace", "categorical"])[number % 4]
    runs["dataset"] = np.array(["mnist", "cifar16", "van_hateren"])[number // 4 % 3]
    runs["latent_dim"], runs["seed"] = number // 12 % 1666, number // 12 // 1666
    texts = {"estimator": "mc", "encoder": "linear", "decoder": "linear", "likelihood": "gaussian", "dtype": "float32", "device": "cpu"}
    nested = dict.fromkeys(("family_options", "estimator_options", "encoder_options", "decoder_options"), "{}")
    training = json.dumps({"epochs": 100, "batch_size": 200, "learning_rate": 0.002, "optimizer": "adamax", "warmup": "5 epochs"})
    sources = json.dumps({f"plugin/file{i}.py": "c" * 64 for i in range(20)})
    runs = runs.assign(**texts, **nested, training=training, sources=sources, beta=1.0, limit_data=1.0, status="done", cost="nelbo")
    names = ["nelbo", "reconstruction", "kl", "sse_at_mean", "sse_at_location", "r2", "active_fraction", "lifetime_sparsity"]
    metrics = pd.DataFrame({"run_id": np.repeat(runs["run_id"], len(names)), "metric": names * n})
    values = np.random.default_rng(0).normal(size=n * len(names))
    metrics = metrics.assign(evaluation="elbo", evaluation_id="elbo-1", split="validation", index_name=None, index=np.nan, value=values, n=1000)
    for table, rows in {"runs": runs, "metrics": metrics.assign(standard_error=0.1)}.items():
        schema = pa.schema(list(TABLES[table].items()), metadata={METADATA_KEY: str(SCHEMA_VERSION).encode()})
        (folder / table).mkdir(parents=True)
        pq.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False), folder / table / "compact-000001.parquet", compression="zstd")
