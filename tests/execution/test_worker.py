"""Pilots: what one invocation queues, others do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from latentbench.errors import UserError
from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.execution.progress import Progress
from latentbench.execution.queue import cancel, enqueue, queues
from latentbench.execution.work import Work
from latentbench.execution.worker import work_off
from latentbench.part import Options
from latentbench.results.store import Store
from latentbench.runner import run_suite
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.launch import Launch
from tests.kit import TWELVE, same

FOUR = TWELVE.replace("[1, 2, 3]", "[1]").replace("steps: 400", "steps: 100")


@pytest.fixture
def jobs(make_run):
    return [Job(make_run(family=name, training__steps=2).run, (EvaluationPlan("elbo", {}, "1"),)) for name in ("poisson", "gaussian")]


def test_a_worker_does_what_is_queued_and_nobody_works_on(cli, jobs, tmp_path):
    enqueue(tmp_path, "s", jobs, detached=True)
    assert Leases(tmp_path / "leases").acquire(jobs[0].run.id)
    answer = cli("worker", tmp_path, "--engine", "test_inline")
    assert answer.code == 0
    assert "1 runs in" in answer.out
    assert pd.read_parquet(tmp_path / "runs")["run_id"].tolist() == [jobs[1].run.id]
    assert len(queues(tmp_path)) == 1  # the other run is still wanted, should its owner die


def test_a_worker_that_finishes_the_queue_removes_it(cli, jobs, tmp_path):
    enqueue(tmp_path, "s", jobs, detached=True)
    assert cli("worker", tmp_path, "--engine", "test_inline").code == 0
    assert queues(tmp_path) == []
    assert "0 runs in" in cli("worker", tmp_path, "--engine", "test_inline").out


def test_failures_of_a_worker_are_rows_and_its_exit_code(cli, make_run, tmp_path):
    job = Job(make_run(family="test_diverging", training__steps=60).run, ())
    enqueue(tmp_path, "s", [job], detached=True)
    answer = cli("worker", tmp_path, "--engine", "test_inline")
    assert answer.code == 1
    assert "1 failed" in answer.out
    assert pd.read_parquet(tmp_path / "runs")["failure_kind"].tolist() == ["non-finite"]


def test_runs_for_gpus_are_left_to_workers_that_have_some(cli, jobs, tmp_path):
    cuda = [Job(job.run.model_copy(update={"device": "cuda"}), job.evaluations) for job in jobs[:1]]
    enqueue(tmp_path, "s", [*cuda, jobs[1]], detached=True)
    answer = cli("worker", tmp_path, "--engine", "test_inline")
    assert "1 queued runs are for another device than cpu" in answer.out
    assert pd.read_parquet(tmp_path / "runs")["run_id"].tolist() == [jobs[1].run.id]


def test_a_folder_that_is_not_there_is_an_error(cli, tmp_path):
    answer = cli("worker", tmp_path / "nowhere", "--engine", "test_inline")
    assert answer.code == 2
    assert "nowhere does not exist" in answer.err


@pytest.mark.slow
def test_an_engine_of_pilots_does_a_suite_and_its_runs_are_followed(cli, suite_file, tmp_path):
    """The contract's second way: `test_pilots` starts two `latentbench worker`."""
    assert cli("run", suite_file(FOUR), "--results", tmp_path / "calm", "--engine", "test_inline").code == 0
    answer = cli("run", suite_file(FOUR), "--results", tmp_path / "r", "--engine", "test_pilots")
    assert answer.code == 0, answer.err
    assert "4 to run, by pilots" in answer.out
    assert "[4/4]" in answer.out
    assert "4 runs in" in answer.out
    assert same(tmp_path / "r", tmp_path / "calm")
    assert queues(tmp_path / "r") == []


@pytest.mark.slow
def test_queued_runs_can_be_seen_taken_back_and_done_by_hand(cli, suite_file, tmp_path):
    profile = tmp_path / "profile.yaml"
    profile.write_text("engine: {name: test_pilots, pilots: 0, wait: false}\n")
    words = (suite_file(FOUR), "--results", tmp_path / "r", "--profile", profile)
    answer = cli("run", *words)
    assert answer.code == 0
    assert "4 runs are queued: `latentbench status` shows them" in answer.out
    assert "0 running, 4 queued" in cli("status", "--results", tmp_path / "r").out
    assert "4 runs" in cli("cancel", "--results", tmp_path / "r").out
    assert "0 running, 0 queued" in cli("status", "--results", tmp_path / "r").out
    assert cli("run", *words).code == 0
    worker = subprocess.run(
        [sys.executable, "-m", "latentbench", "worker", str(tmp_path / "r"), "--cpus", "2"], capture_output=True, text=True, check=False
    )
    assert worker.returncode == 0, worker.stderr
    assert "[4/4]" in worker.stdout
    assert "4 done; 0 running, 0 queued" in cli("status", "--results", tmp_path / "r").out


@pytest.mark.slow
def test_when_all_pilots_die_the_invocation_says_so(suite_file, tmp_path):
    """Exit code 1, and the runs stay queued."""
    text = FOUR.replace("steps: 100", "steps: 1000000")
    command = [sys.executable, "-m", "latentbench", "run", str(suite_file(text)), "--results", str(tmp_path / "r"), "--engine", "test_pilots"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while len(list((tmp_path / "r" / "leases").glob("*.json"))) < 2 and process.poll() is None:
        time.sleep(0.1)
    subprocess.run(["pkill", "-KILL", "-f", f"worker {tmp_path / 'r'}"], check=True)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "4 runs are not done, and no process works on them; the same command continues them" in out


class Cancelling(Progress):
    """Cancels when the first run has ended."""

    def __init__(self, results):
        super().__init__()
        self.results = results

    def ended(self, job, failure):
        super().ended(job, failure)
        cancel(self.results)


def test_a_worker_heeds_cancel_in_the_middle(jobs, registry, tmp_path):
    enqueue(tmp_path, "s", jobs, detached=True)
    engine = registry.engine("test_inline")(Options())
    assert work_off(tmp_path, engine, Cancelling(tmp_path).watch) == 0
    assert len(pd.read_parquet(tmp_path / "runs")) == 1


def test_an_invocation_heeds_cancel_in_the_middle(suite_file, tmp_path, monkeypatch, capsys):
    finished = Work.finished

    def end_and_cancel(work, job, failure):
        finished(work, job, failure)
        cancel(work.results)

    monkeypatch.setattr(Work, "finished", end_and_cancel)
    assert run_suite(suite_file(FOUR), tmp_path / "r", Launch("test_inline")) == 3
    assert "3 runs were taken back by `latentbench cancel`" in capsys.readouterr().out
    monkeypatch.undo()
    assert run_suite(suite_file(FOUR), tmp_path / "r", Launch("test_inline")) == 0


def test_an_invocation_whose_last_runs_a_worker_does_is_done(suite_file, tmp_path, registry, monkeypatch, capsys):
    """The worker removes the queue file of the invocation, as nothing in it is queued any more."""
    finished = Work.finished

    def end_and_help(work, job, failure):
        monkeypatch.undo()
        finished(work, job, failure)
        assert work_off(work.results, registry.engine("test_inline")(Options()), Progress().watch) == 0

    monkeypatch.setattr(Work, "finished", end_and_help)
    assert run_suite(suite_file(FOUR), tmp_path / "r", Launch("test_inline")) == 0
    out = capsys.readouterr().out
    assert "4 runs in" in out
    assert "taken back" not in out
    assert out.count("done by another invocation") == 3


def test_an_engine_that_starts_workers_cannot_be_one(cli, jobs, tmp_path):
    enqueue(tmp_path, "s", jobs, detached=True)
    answer = cli("worker", tmp_path, "--engine", "test_pilots")
    assert answer.code == 2
    assert "engine test_pilots starts workers itself, and cannot be one" in answer.err


def test_what_cannot_be_submitted_is_not_queued(cli, suite_file, tmp_path, registry, monkeypatch):
    def refuse(engine, work):
        raise UserError("sbatch refused the pilots: no such partition")

    monkeypatch.setattr(registry.engine("test_pilots"), "run", refuse)
    answer = cli("run", suite_file(FOUR), "--results", tmp_path / "r", "--engine", "test_pilots")
    assert answer.code == 2
    assert "no such partition" in answer.err
    assert queues(tmp_path / "r") == []


def test_a_run_that_another_invocation_saw_fail_has_failed(make_run, registry, tmp_path, capsys):
    job = Job(make_run(family="test_diverging", training__steps=60).run, ())
    work = Work(tmp_path, [job], Progress().watch([job]))
    assert "non-finite" in str(execute(job, registry, Store(tmp_path), "cpu"))
    assert work.acquire() is None
    assert (work.left, work.failures) == ([], 1)
    assert "FAILED non-finite" in capsys.readouterr().out


def child_of(process, word):
    """Whether a child of a process has this word in its command line."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return any(word in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_whose_fork_server_is_slow_keeps_no_run_from_others(jobs, tmp_path):
    enqueue(tmp_path, "s", jobs[:1], detached=True)

    def worker(node, **environment):
        environment = {**os.environ, "LATENTBENCH_TEST_NODES": "1", "SLURMD_NODENAME": node, **environment}
        command = [sys.executable, "-m", "latentbench", "worker", str(tmp_path), "--cpus", "1"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    slow = worker("n1", LATENTBENCH_TEST_SLOW_FORK_SERVER="600")
    try:
        while not child_of(slow, b"forkserver"):
            assert slow.poll() is None
            time.sleep(0.05)
        assert not list((tmp_path / "leases").glob("*.json"))
        other, _ = worker("n2").communicate(timeout=300)
        assert "1 runs in" in other
        slow.terminate()
        assert slow.wait(timeout=60) == 130
    finally:
        os.killpg(slow.pid, signal.SIGKILL)  # its fork server too, which hears nothing else before it has slept


def test_what_an_engine_held_when_it_failed_is_given_back(jobs, tmp_path, registry, monkeypatch):
    enqueue(tmp_path, "s", jobs, detached=True)

    def take_and_fail(engine, work):
        work.acquire()
        raise OSError("gone")

    monkeypatch.setattr(registry.engine("test_inline"), "run", take_and_fail)
    with pytest.raises(OSError, match="gone"):
        work_off(tmp_path, registry.engine("test_inline")(Options()), Progress().watch)
    assert not list((tmp_path / "leases").iterdir())


def test_nobody_s_queue_cannot_be_emptied(cli, tmp_path):
    answer = cli("cancel", "--results", tmp_path / "nowhere")
    assert answer.code == 2
    assert "nowhere does not exist" in answer.err
