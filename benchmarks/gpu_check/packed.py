"""The local engine packs runs on the GPU: the same bits as alone, within its memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from benchmarks.gpu_check.check import Finding, Setting
from latentbench.results.store import Store

SUITE = """\
name: packed
seeds: 1-4
evaluations: [elbo]
defaults: {{encoder: {network}, decoder: {network}, latent_dim: 10, training: {{steps: {steps}, batch_size: 50}}}}
sweeps:
  - {{family: poisson, estimator: mc, dataset: digits}}
"""


def check(setting: Setting) -> Iterator[Finding]:
    """One run alone, then four seeds together, with `--per-gpu auto`."""
    suite = setting.folder / "packed.yaml"
    suite.write_text(SUITE.format(steps=5 if setting.small else 400, network="linear" if setting.small else "conv"))
    number = setting.device.partition(":")[2] or "0"
    alone = ["--gpus", number, "--per-gpu", "1"] if setting.cuda else ["--cpus", "1"]
    together = ["--gpus", number, "--per-gpu", "auto"] if setting.cuda else ["--cpus", "2"]
    folders = setting.folder / "alone", setting.folder / "together"
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # of a check before
    seconds = [_run(suite, folder, words) for folder, words in zip(folders, ([*alone, "--seeds", "1"], together), strict=True)]
    runs = pd.read_parquet(folders[1] / "runs")
    done = int((runs["status"] == "done").sum())
    yield Finding("four runs, packed", f"{done} done", "4 done", done == 4)
    yield Finding("seconds alone, and for four together", f"{seconds[0]:.1f}, {seconds[1]:.1f}")
    yield _same(runs, folders)
    if setting.cuda:
        capacity = torch.cuda.get_device_properties(setting.device).total_memory
        needs = runs["device_peak_memory_bytes"].astype(float)
        yield Finding("memory of a run, of the GPU", f"{needs.max() / 2**20:.0f} MiB of {capacity / 2**30:.0f} GiB")
        yield Finding(
            "memory that is set aside for runs, all four together", f"{needs.sum() / capacity:.1%}", "below 90 %", bool(needs.sum() < 0.9 * capacity)
        )


def _run(suite: Path, results: Path, words: list[str]) -> float:
    start = time.monotonic()
    command = [sys.executable, "-m", "latentbench", "run", str(suite), "--results", str(results), *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}\n{ended.stdout[-1500:]}\n{ended.stderr[-1500:]}")
    return time.monotonic() - start


def _same(runs: pd.DataFrame, folders: tuple[Path, Path]) -> Finding:
    """The checkpoint of seed 1 in both folders."""
    run_id = runs.loc[runs["seed"] == 1, "run_id"].item()
    one, other = (Store(folder).read_checkpoint(run_id) for folder in folders)
    different = [name for name in one if not torch.equal(one[name], other[name])]
    return Finding("seed 1 alone and packed", json.dumps(different) if different else "equal bits", "equal bits", not different)
