"""The Slurm engine on a real Slurm of two nodes with four fake GPUs each, whatever becomes of jobs and nodes."""

import fcntl
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from latentbench_slurm.slurm import SlurmEngine, SlurmOptions

from latentbench.errors import UserError
from tests.kit import same

SIXTYFOUR = """\
name: sixtyfour
seeds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]
evaluations: [elbo]
engine: {name: slurm, array: 2, gpus: 4, per_gpu: 2, cpus: 8, time: 10m, signal_before: 30s}
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 60, batch_size: 50}}
sweeps:
  - {family: [poisson, gaussian], estimator: [mc, exact], dataset: digits}
"""
LONG = """\
name: long
seeds: [1, 2]
evaluations: [elbo]
engine: {name: slurm, cpus: 2, time: 10m}
sweeps:
  - {family: gaussian, estimator: mc, dataset: digits, encoder: linear, decoder: linear, latent_dim: 4, training: {steps: STEPS}}
"""


def test_a_machine_without_slurm_is_told_so(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(UserError, match="this machine has no sbatch, srun, squeue; submit from a node of the cluster"):
        SlurmEngine(SlurmOptions()).check()


def test_without_submitit_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install 'latentbench\[slurm\]'"):
        SlurmEngine(SlurmOptions()).check()


@pytest.fixture
def cluster():
    """Skips where there is none; one test at a time has it."""
    if "LATENTBENCH_TEST_SLURM" not in os.environ:
        pytest.skip("no Slurm of the tests' own: LATENTBENCH_TEST_SLURM is not set")
    assert len(re.findall(r"gpu:4", ask("sinfo", "-h", "-N", "-o", "%N %G"))) == 2, "two nodes with four GPUs each"
    with (Path(tempfile.gettempdir()) / "latentbench_test_slurm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wait_until_idle()
        yield
        subprocess.run(["scancel", "--name", "latentbench"], timeout=20, check=False)


def wait_until_idle(seconds=60):
    deadline = time.monotonic() + seconds
    while ask("sinfo", "-h", "-N", "-o", "%t").split().count("idle") < 2:
        assert time.monotonic() < deadline, ask("sinfo", "-N", "-l")
        time.sleep(0.5)


def ask(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout


class Submitted:
    """`latentbench run` of a suite on the cluster."""

    def __init__(self, folder, text):
        self.folder, self.results = folder, folder / "results"
        folder.mkdir()
        (folder / "suite.yaml").write_text(text)
        command = [sys.executable, "-m", "latentbench", "run", "suite.yaml"]
        environment = {**os.environ, "LATENTBENCH_TEST_FAKE_GPUS": json.dumps({"count": 0}), "LATENTBENCH_TEST_NODES": "1"}
        self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for(self, condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline, ask("squeue", "-a")
            time.sleep(0.2)
        return found

    def done(self):
        return len(list((self.results / "runs").glob("[!.]*.parquet")))

    def jobs(self):
        """(job, node) of the running ones."""
        return [line.split() for line in ask("squeue", "-h", "-t", "running", "-o", "%A %N").splitlines()]

    def finish(self, seconds=240):
        out, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, out + "".join(path.read_text() for path in (self.results / "slurm").glob("*.out"))
        return out

    def intervals(self):
        """When each run was worked on: run -> [start, end or None, GPU]."""
        found = {}
        for path in (self.results / "logs").glob("*.log"):
            for line in path.read_text().splitlines():
                if match := re.match(r"(\S+) \S+: (.*)", line):
                    at, what = datetime.fromisoformat(match[1]).timestamp(), match[2]
                    if "started" in what:
                        found.setdefault(path.stem, []).append([at, None, what.rpartition("=")[2]])
                    elif found.get(path.stem):
                        found[path.stem][-1][1] = at
        return found


def check(submitted, killed_at=float("inf")):
    """All runs are done, none was worked on by two at once, and every one saw one of the GPUs, with at most two runs on each of eight."""
    runs = pd.read_parquet(submitted.results / "runs")
    assert len(runs) == 64
    assert set(runs["status"]) == {"done"}
    assert {json.loads(text)["visible_devices"] for text in runs["hardware"]} == {"0", "1", "2", "3"}
    intervals = submitted.intervals()
    assert len(intervals) == 64
    for mine in intervals.values():
        for (start, end, _), (again, _, _) in itertools.pairwise(mine):
            assert (end or max(start, killed_at)) <= again
    events = sorted(e for mine in intervals.values() for start, end, gpu in mine for e in ((start, 1, gpu), (end or max(start, killed_at), -1, gpu)))
    now = dict.fromkeys("0123", 0)
    for _, change, gpu in events:
        now[gpu] += change
        assert now[gpu] <= 4, "two nodes, two runs a GPU"
    assert not list((submitted.results / "queue").glob("[!.]*"))
    return intervals


@pytest.mark.slurm
def test_two_pilots_do_sixty_four_runs(cluster, tmp_path):
    submitted = Submitted(tmp_path / "suite", SIXTYFOUR)
    out = submitted.finish()
    assert "64 to run, by 2 Slurm pilots of 4 GPUs" in out
    assert "64 runs in" in out
    intervals = check(submitted)
    assert all(len(mine) == 1 for mine in intervals.values())
    ends = sorted(end for mine in intervals.values() for _, end, _ in mine)
    print(f"{ends[-1] - min(mine[0][0] for mine in intervals.values()):.0f} s from the first start to the last end")


@pytest.mark.slurm
def test_a_job_that_is_requeued_in_the_middle_goes_on(cluster, tmp_path):
    submitted = Submitted(tmp_path / "suite", SIXTYFOUR)
    submitted.wait_for(lambda: submitted.done() >= 12)
    (job, _), *_ = submitted.jobs()
    subprocess.run(["scontrol", "requeue", job], check=True, timeout=20)
    killed_at = time.time() + 3  # Slurm's KillWait is two seconds here
    submitted.finish()
    intervals = check(submitted, killed_at)
    print(f"{sum(len(mine) > 1 for mine in intervals.values())} runs were started again")


def processes_of(node, jobs):
    """What a machine takes with it: the node's daemon, its jobs' step daemons, and all that they started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command, environment = (entry / "cmdline").read_bytes().decode(), (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            daemon = command.replace("\0", " ").strip().endswith(f"slurmd -N {node}")
            step = any(command.startswith(f"slurmstepd: [{job}.") for job in jobs)
            if daemon or step or f"\0SLURMD_NODENAME={node}\0" in f"\0{environment}":
                found.append(int(entry.name))
    return found


@pytest.mark.slurm
def test_a_node_that_is_lost_in_the_middle_costs_its_current_runs_only(cluster, tmp_path):
    submitted = Submitted(tmp_path / "suite", SIXTYFOUR)
    submitted.wait_for(lambda: submitted.done() >= 8 and len(submitted.jobs()) == 2)
    node = submitted.jobs()[0][1]
    lost = processes_of(node, [job for job, where in submitted.jobs() if where == node])
    assert len(lost) > 3
    try:
        for number in (signal.SIGSTOP, signal.SIGKILL):  # all at once: none sees another die
            for pid in lost:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        killed_at, done = time.time(), submitted.done()
        submitted.finish()
        intervals = check(submitted, killed_at)
        assert set(pd.read_parquet(submitted.results / "runs")["host"]) <= {"n1", "n2"}
        again = sum(len(mine) > 1 for mine in intervals.values())
        assert again <= 8  # two on each of its four GPUs
        print(f"{done} runs were done, {again} were started again")
    finally:
        subprocess.run(["slurmd", "-N", node], check=True, timeout=20)
        wait_until_idle()


@pytest.mark.slurm
def test_a_pilot_saves_its_runs_before_the_time_limit_and_is_requeued(cluster, tmp_path):
    """Slurm's signal is sent by hand, so that nobody waits for a limit of minutes."""
    calm = Submitted(tmp_path / "calm", LONG.replace("STEPS", "20000"))
    calm.finish()
    submitted = Submitted(tmp_path / "suite", LONG.replace("STEPS", "20000"))
    submitted.wait_for(lambda: len([mine for mine in submitted.intervals().values() if mine]) == 2)
    time.sleep(1)
    (job, _), *_ = submitted.jobs()
    subprocess.run(["scancel", "--signal=USR2", job], check=True, timeout=20)
    submitted.finish()
    starts = [len(mine) for mine in submitted.intervals().values()]
    assert starts == [2, 2]
    assert all(mine[0][1] is not None for mine in submitted.intervals().values()), "stopped, not killed"
    assert same(submitted.results, calm.results)
    text = "".join(path.read_text() for path in (submitted.results / "slurm").glob("*.out"))
    assert "Requeued job" in text
