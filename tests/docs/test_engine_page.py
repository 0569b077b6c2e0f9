"""The engine that docs/extending/engine.md shows: runs, a killed process, a time limit, Ctrl-C."""

import importlib
import re
import sys

import pandas as pd
import pytest

from latentbench.engine import Limits
from latentbench.execution.job import Job
from latentbench.execution.leases import Leases
from latentbench.execution.work import Work
from latentbench.registry import build_registry
from latentbench.suites.launch import Launch, choose_engine

BLOCK = re.compile(r"<!-- file latentbench_futures\.py -->\n+```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Watching:
    def __init__(self, started=lambda job: None):
        self.begun, self.failures, self._started = [], [], started

    def started(self, job, where):
        self.begun.append(job.run.id)
        self._started(job)

    def ended(self, job, failure):
        self.failures.append(failure and str(failure.kind))


@pytest.fixture
def page(root, tmp_path, monkeypatch):
    """The module that the page writes, importable here and in the engine's workers."""
    (source,) = BLOCK.findall((root / "docs" / "extending" / "engine.md").read_text())
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "latentbench_futures.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path / "plugin")
    yield importlib.import_module("latentbench_futures")
    del sys.modules["latentbench_futures"]


@pytest.fixture
def engine(page):
    return choose_engine(Launch(engine="futures"), None, build_registry([("latentbench_futures", page)]))


@pytest.fixture
def work(make_run, tmp_path):
    """Work of runs with these settings; and what its watcher was told."""

    def make(*settings, limits=Limits(), started=lambda job: None):  # noqa: B008  # frozen
        jobs = [Job(make_run(**one).run, ()) for one in settings]
        watching = Watching(started)
        return Work(tmp_path / "r", jobs, watching, limits), watching

    return make


def rows(folder):
    return pd.read_parquet(folder / "r" / "runs").set_index("run_id")


@pytest.mark.slow
def test_runs_are_done_in_their_order(engine, work, tmp_path):
    some, watching = work(*({"seed": seed, "training__steps": 3} for seed in (1, 2)))
    order = [job.run.id for job in some.left]
    engine.run(some)
    assert watching.begun == order
    assert watching.failures == [None] * 2
    assert set(rows(tmp_path)["status"]) == {"done"}
    assert not some.left
    assert not Leases(tmp_path / "r" / "leases").busy()


@pytest.mark.slow
def test_ctrl_c_saves_the_state_and_releases_the_run(engine, work, tmp_path):
    def interrupt(job):
        raise KeyboardInterrupt

    some, _ = work({"training__steps": 100_000}, started=interrupt)
    (job,) = some.left
    with pytest.raises(KeyboardInterrupt):
        engine.run(some)
    assert some.has_state(job)
    assert not Leases(tmp_path / "r" / "leases").busy()


@pytest.mark.slow
def test_a_killed_process_costs_its_own_run_alone(engine, work, tmp_path):
    some, _ = work({"family": "test_crashing", "training__steps": 3}, {"training__steps": 3})
    engine.run(some)
    assert rows(tmp_path)["failure_kind"].dropna().tolist() == ["killed"]
    assert (rows(tmp_path)["status"] == "done").sum() == 1


@pytest.mark.slow
def test_a_run_that_takes_longer_than_its_limit_is_a_timeout(engine, work, tmp_path):
    some, _ = work({"training__steps": 10**6}, limits=Limits(seconds=1.0))
    (job,) = some.left
    engine.run(some)
    assert rows(tmp_path)["failure_kind"].tolist() == ["timeout"]
    assert some.has_state(job)
