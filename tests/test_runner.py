"""Running a suite: nothing is lost or doubled when the invocation itself is killed, and what is asked for is done once."""

import os
import shutil
import signal
from multiprocessing import forkserver

import pandas as pd
import pytest

from latentbench.execution.control import Control, InterruptedRunError
from latentbench.execution.execute import execute
from latentbench.execution.work import Work
from latentbench.files import cannot_store
from latentbench.registry import load_registry
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.runner import Selection, planned, run_suite
from latentbench.suites.launch import Launch
from latentbench.suites.plan import Changes
from tests.kit import Killer, in_a_fork, same

SUITE = """\
name: small
seeds: [1]
evaluations: [elbo]
leaderboard: {metric: nelbo, rows: [family]}
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 3, batch_size: 50}}
sweeps:
  - {family: FAMILY, estimator: mc, dataset: digits}
"""
INLINE = Launch("test_inline")


@pytest.fixture
def suite(suite_file):
    return suite_file(SUITE.replace("FAMILY", "[poisson, gaussian]"))


def local_engine(suite, results):
    """`latentbench run --cpus 1`, with a fork server that is not the one of the process that this one was forked from."""
    forkserver._forkserver.__init__()
    return run_suite(suite, results, Launch("local", flags={"cpus": 1}))


def inline_engine(suite, results):
    return run_suite(suite, results, INLINE)


@pytest.mark.slow
@pytest.mark.parametrize(("invocation", "apart", "at_least"), [(inline_engine, 1, 50), (local_engine, 3, 20)])
def test_an_invocation_survives_a_kill_where_it_writes(invocation, apart, at_least, suite_file, tmp_path):
    """Planning, queue, lease, and with one engine the run too: killed at one place after the other, and called again; at every place in this process,
    at every third where starting others takes seconds.
    """
    suite, calm = suite_file(SUITE.replace("FAMILY", "poisson")), tmp_path / "calm"
    assert inline_engine(suite, calm) == 0
    places = 0
    while True:
        results = tmp_path / f"killed{places}"

        def disturbed(results=results, places=places):
            Killer(places).install()
            invocation(suite, results)

        status = in_a_fork(disturbed)
        if not os.WIFSIGNALED(status):
            assert status == 0
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        places += apart
        assert in_a_fork(lambda results=results: inline_engine(suite, results)) == 0
        assert same(results, calm), places
        assert set(pd.read_parquet(results / "runs")["status"]) == {"done"}
        for folder in ("states", "queue", "leases"):
            assert not list((results / folder).glob("[!.]*")), (folder, places)
        shutil.rmtree(results)
    print(f"{places} places")
    assert places > at_least


def test_a_folder_that_becomes_read_only_ends_a_suite_and_the_same_call_goes_on(suite, tmp_path, disk, monkeypatch):
    assert run_suite(suite, tmp_path / "calm", INLINE) == 0
    small = disk(1024)
    results, finished = small.folder / "r", Work.finished

    def finish_then_fail(work, job, failure):
        finished(work, job, failure)
        small.remount("ro")

    monkeypatch.setattr(Work, "finished", finish_then_fail)
    with pytest.raises(OSError, match="Read-only") as error:
        run_suite(suite, results, INLINE)
    assert cannot_store(error.value)
    monkeypatch.undo()
    small.remount("rw")
    assert len(Snapshot.read(Store(results)).rows) == 1
    assert run_suite(suite, results, INLINE) == 0
    assert same(results, tmp_path / "calm")


def test_force_does_not_go_on_from_a_state(suite, tmp_path, registry):
    """The state's step shows: it says that the run was at its end, so that going on would train nothing and record nothing."""
    plan, *_ = planned(suite, tmp_path / "r", INLINE, Changes())
    results = tmp_path / "r"
    for selection, steps in ((Selection(), 0), (Selection(force=True), 3)):
        for item in plan.runs:
            shutil.rmtree(results, ignore_errors=True)
            with pytest.raises(InterruptedRunError):
                execute(selection.job(item), registry, Store(results), "cpu", Control(stopping=lambda: True))
            state = Store(results).read_state(item.run.id)
            state["step"].fill_(3)
            Store(results).write_state(item.run.id, state)
            assert run_suite(suite, results, INLINE, Changes(only={"family": [item.run.family]}), selection) == 0
            history = pd.read_parquet(results / "history")
            assert (history["step"].max() if len(history) else 0) == steps, item.run.family


def test_an_interrupted_force_is_continued_by_the_same_call(suite_file, tmp_path, monkeypatch, capsys):
    """Ctrl-C comes with the third of four runs: the same call runs the other two, and only the call after it starts from the beginning."""
    suite, results, force = suite_file(SUITE.replace("FAMILY", "[poisson, gaussian, laplace, categorical]")), tmp_path / "r", Selection(force=True)
    assert run_suite(suite, results, INLINE) == 0
    begun = []

    def interrupting(job, *args, **kwargs):
        begun.append(job.run.family)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return execute(job, *args, **kwargs)

    monkeypatch.setattr("latentbench_testkit.execute", interrupting)
    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, results, INLINE, selection=force)
    redone = begun[:2]
    begun[2:] = []
    monkeypatch.setattr("latentbench_testkit.execute", lambda job, *args, **kwargs: begun.append(job.run.family) or execute(job, *args, **kwargs))
    capsys.readouterr()
    assert run_suite(suite, results, INLINE, selection=force) == 0
    assert "continues a --force that was interrupted: 2 of its 4 runs were run again before" in capsys.readouterr().out
    assert sorted(begun) == ["categorical", "gaussian", "laplace", "poisson"]
    assert set(begun[2:]).isdisjoint(redone)
    assert run_suite(suite, results, INLINE, selection=force) == 0
    assert len(begun) == 8


def test_retry_trains_again_where_the_model_is_damaged(suite_file, tmp_path, monkeypatch):
    suite, results = suite_file(SUITE.replace("FAMILY", "gaussian").replace("[elbo]", "[elbo, test_fragile]")), tmp_path / "r"
    (tmp_path / "breaks").touch()
    monkeypatch.setenv("LATENTBENCH_TEST_FRAGILE", str(tmp_path / "breaks"))
    assert run_suite(suite, results, INLINE) == 1
    (tmp_path / "breaks").unlink()
    (checkpoint,) = (results / "checkpoints").glob("*.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    assert run_suite(suite, results, INLINE, selection=Selection(retry=frozenset({"evaluation"}))) == 0
    row = pd.read_parquet(results / "runs").iloc[0]
    assert row["status"] == "done"
    assert pd.isna(row["failure_kind"])
    assert set(pd.read_parquet(results / "metrics")["evaluation"]) == {"elbo", "test_fragile"}


def test_two_that_force_at_once_run_every_run_once(suite, tmp_path):
    """What a job was made for is over as soon as another process has done it."""
    assert run_suite(suite, tmp_path / "r", INLINE) == 0
    began = set(pd.read_parquet(tmp_path / "r" / "runs")["started"])
    plan, *_ = planned(suite, tmp_path / "r", INLINE, Changes())
    jobs = [Selection(force=True).job(item) for item in plan.runs]
    done = []
    for _ in range(2):
        work = Work(tmp_path / "r", jobs, Noted(done))
        while (job := work.acquire()) is not None:
            work.finished(job, execute(job, load_registry(), work.store, "cpu"))
    assert [what for what, _ in done] == ["ended", "ended", "left", "left"]
    assert not began & set(pd.read_parquet(tmp_path / "r" / "runs")["started"])


class Noted:
    """A watcher that writes down."""

    def __init__(self, notes):
        self.notes = notes

    def started(self, job, where):
        pass

    def progressed(self, job, step, steps):
        pass

    def ended(self, job, failure):
        self.notes.append(("ended", job.run.id))

    def left(self, job):
        self.notes.append(("left", job.run.id))
