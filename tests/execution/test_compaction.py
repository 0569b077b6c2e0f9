"""Compaction: the same rows in few files, whatever is killed or written meanwhile."""

import os
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from latentbench.errors import UserError
from latentbench.execution.compaction import compact, join_fragments
from latentbench.execution.job import Job
from latentbench.execution.leases import COMPACTION, STALE_AFTER, Leases
from latentbench.execution.queue import enqueue
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.results.tables import TABLES
from tests.kit import fill, rows_of

SUITE = """\
name: s
seeds: [1]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 2}}
sweeps: [{family: poisson, estimator: mc, dataset: digits}]
"""


def test_a_compacted_store_has_the_same_rows_in_a_file_a_table(tmp_path):
    store = Store(tmp_path)
    fill(store)
    before = rows_of(store)
    assert join_fragments(store) == 3 + 6 + 6 + 6 + 3 - 5
    assert rows_of(store) == before
    assert len(list(tmp_path.glob("*/*.parquet"))) == 5
    assert Snapshot.read(store).rows.keys() == {"a1", "b2", "c3"}
    assert sum(map(len, Snapshot.read(store).evaluated.values())) == 6
    assert join_fragments(store) == 0
    assert rows_of(store) == before


def test_runs_that_change_after_compaction_are_seen_once_as_they_are_now(tmp_path):
    store = Store(tmp_path)
    fill(store)
    join_fragments(store)
    store.update_run("a1", {"failure_kind": "evaluation"})
    store.write_rows("metrics", "a1-elbo-1", [{"run_id": "a1", "evaluation": "elbo", "evaluation_id": "elbo-1", "metric": "elbo", "value": 9.0}])
    row, evaluated = store.state_of("b2")
    assert (row["status"], evaluated) == ("done", {"elbo-1", "knn-1"})
    assert Snapshot.read(store).rows["a1"]["failure_kind"] == "evaluation"
    metrics = store.read("metrics")
    assert sorted(metrics[metrics["run_id"] == "a1"]["value"]) == [1.0, 9.0]
    assert len(metrics) == 6
    store.forget("c3")
    assert Snapshot.read(store).rows.keys() == {"a1", "b2"}
    assert set(store.read("metrics")["run_id"]) == {"a1", "b2"}
    fill(store, ["c3"], 5.0)
    assert sorted(store.read("metrics")["value"]) == [1.0, 1.0, 1.0, 5.0, 5.0, 9.0]
    before = rows_of(store)
    join_fragments(store)
    assert rows_of(store) == before
    assert Snapshot.read(store).rows.keys() == {"a1", "b2", "c3"}


def test_compaction_that_is_killed_anywhere_loses_and_doubles_nothing(tmp_path, monkeypatch):
    """Ended at every write and every removal in turn."""

    class KilledError(Exception):
        pass

    monkeypatch.setattr(os, "fsync", lambda file: None)  # for speed

    for stop in range(100):
        store = Store(tmp_path / str(stop))
        fill(store, evaluations=("elbo",))
        join_fragments(store)
        fill(store, ["c3", "d4"], 2.0, evaluations=("elbo",))
        store.forget("b2")
        fill(store, ["b2"], 3.0, evaluations=())  # of which no units are left
        before, left = rows_of(store), [stop]
        real_unlink, real_replace = Path.unlink, Path.replace

        def counting(method, left=left):
            def wrapped(path, *args, **kwargs):
                if left[0] == 0:
                    raise KilledError
                left[0] -= 1
                return method(path, *args, **kwargs)

            return wrapped

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", counting(real_replace))
            patch.setattr(Path, "unlink", counting(real_unlink))
            try:
                join_fragments(store)
            except KilledError:
                ended = False
            else:
                ended = True
        assert rows_of(store) == before, stop
        if ended:
            break
    assert ended
    assert stop > 15


@pytest.mark.parametrize("table", [table for table in TABLES if table != "summaries"])
@pytest.mark.parametrize("call", range(8))
def test_a_reader_beside_compaction_sees_the_same_rows(tmp_path, monkeypatch, table, call):
    """The store, of which some runs are compacted already, is compacted before or after any time that the reader lists or opens something."""
    store = Store(tmp_path)
    fill(store)
    join_fragments(store)
    fill(store, ["c3", "d4"], 2.0)
    store.forget("b2")
    fill(store, ["b2"], 3.0, evaluations=("elbo",))
    before, real, left = rows_of(store)[table], os.scandir, [call]

    def scandir(path):
        left[0] -= 1
        if left[0] == -1:
            join_fragments(store)
        listing = real(path)
        if left[0] == 0:
            monkeypatch.setattr(os, "scandir", real)
            names = list(listing)
            join_fragments(store)
            return nullcontext(names)
        return listing

    monkeypatch.setattr(os, "scandir", scandir)
    assert sorted(map(str, store.rows(table).to_pylist())) == before


def test_looking_at_a_run_of_a_compact_file_writes_nothing(tmp_path):
    store = Store(tmp_path)
    fill(store)
    join_fragments(store)
    files = set(tmp_path.rglob("*"))
    row, evaluated = store.state_of("b2")
    assert (row["status"], evaluated) == ("done", {"elbo-1", "knn-1"})
    assert store.state_of("d4") == (None, set())
    assert set(tmp_path.rglob("*")) == files


def test_fragments_that_are_written_beside_compaction_stay(tmp_path, monkeypatch):
    """As by `run --force` on a slow disk: at every write of the compaction in turn, two runs are stored anew."""
    written = Path.replace
    for turn in range(6):
        store = Store(tmp_path / str(turn))
        fill(store)
        left = [turn]

        def replace(path, target, left=left, store=store):
            left[0] -= 1
            if left[0] == -1:
                store.update_run("a1", {"beta": 9.0})
                store.forget("b2")
                fill(store, ["b2"], 5.0, evaluations=("elbo",))
            return written(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            join_fragments(store)
            if left[0] >= 0:
                break
        runs, metrics, units = (store.read(table).set_index("run_id") for table in ("runs", "metrics", "units"))
        assert runs["beta"].to_dict() == {"a1": 9.0, "b2": 5.0, "c3": 1.0}
        for rows in (metrics, units):
            assert sorted(rows["value"].items()) == [("a1", 1.0), ("a1", 1.0), ("b2", 5.0), ("c3", 1.0), ("c3", 1.0)]
    assert turn == 5


def test_compaction_that_fails_leaves_nothing(tmp_path):
    store = Store(tmp_path)
    fill(store)
    path = tmp_path / "runs" / "a1.parquet"
    path.write_bytes(path.read_bytes()[:-5])
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"a1\.parquet is damaged"):
        join_fragments(store)
    assert set(tmp_path.rglob("*")) == before


def test_no_run_is_taken_while_the_folder_is_compacted(tmp_path):
    compaction, run = Leases(tmp_path / "leases"), Leases(tmp_path / "leases")
    assert compaction.acquire(COMPACTION, "compaction")
    assert not run.acquire("a1")
    assert run.compacting()
    assert run.busy() == set()
    assert run.all()[COMPACTION].about == "compaction"
    compaction.release(COMPACTION)
    assert run.acquire("a1")


def test_a_compaction_that_was_killed_holds_nothing_up(tmp_path):
    gone = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import pathlib, latentbench.execution.leases as l; l.Leases(pathlib.Path({str(tmp_path)!r}) / 'leases').acquire(l.COMPACTION)",
        ],
        check=False,
    )
    assert gone.returncode == 0
    assert list((tmp_path / "leases").iterdir())
    assert Leases(tmp_path / "leases").acquire("a1")


def test_runs_that_are_worked_on_are_not_compacted(tmp_path, cli):
    fill(Store(tmp_path))
    run = Leases(tmp_path / "leases")
    assert run.acquire("a1")
    answer = cli("compact", "--results", tmp_path)
    assert answer.code == 2
    assert "1 runs are being worked on" in answer.err
    assert not list(tmp_path.glob("*/compact-*"))
    run.release("a1")
    assert cli("compact", "--results", tmp_path).code == 0
    assert not list((tmp_path / "leases").iterdir())


def test_of_a_run_and_a_compaction_that_begin_at_once_one_works(tmp_path):
    """Each sees the other, or is seen; both may give way."""
    for turn in range(20):
        folder, ended, barrier = tmp_path / str(turn), [], threading.Barrier(2)
        fill(Store(folder), ["b2"])

        def work(folder=folder, ended=ended, barrier=barrier):
            barrier.wait()
            if Leases(folder / "leases").acquire("a1"):
                ended.append("run")

        thread = threading.Thread(target=work)
        thread.start()
        barrier.wait()
        with suppress(UserError):
            compact(folder)
            ended.append("compaction")
        thread.join()
        assert ended in (["run"], ["compaction"], ["compaction", "run"], [])  # never a compaction that ended while the run was being worked on


def test_compaction_that_was_held_up_until_runs_began_removes_nothing(tmp_path, monkeypatch, cli):
    """Its process stood still for over a minute, and a run was taken and stored meanwhile."""
    store, other, written = Store(tmp_path), Leases(tmp_path / "leases"), Path.replace
    fill(store)

    def replace(path, target):
        if target.name == "compact-000001.parquet":
            monkeypatch.undo()
            os.utime(tmp_path / "leases" / f"{COMPACTION}.1.json", (time.time() - STALE_AFTER - 5,) * 2)
            assert other.acquire("a1")
            fill(Store(tmp_path, fence=other.check), ["a1"], 4.0)
            Leases(tmp_path / "leases").sweep()
        return written(path, target)

    monkeypatch.setattr(Path, "replace", replace)
    answer = cli("compact", "--results", tmp_path)
    assert answer.code == 2
    assert "was held up for so long that runs began meanwhile; nothing is lost" in answer.err
    assert store.read("runs").set_index("run_id")["beta"].to_dict() == {"a1": 4.0, "b2": 1.0, "c3": 1.0}
    assert len(list((tmp_path / "metrics").glob("*.parquet"))) == 6


@pytest.mark.parametrize("command", ["run", "worker"])
def test_runs_wait_until_the_folder_is_compacted(tmp_path, cli, suite_file, make_run, command):
    results, compaction = tmp_path / "r", Leases(tmp_path / "r" / "leases")
    results.mkdir()
    job = Job(make_run(training__steps=2).run, ())
    enqueue(results, "s", [job], detached=True)
    suite = suite_file(SUITE)
    assert compaction.acquire(COMPACTION)
    ends = threading.Timer(3.0, lambda: compaction.release(COMPACTION))
    ends.start()
    words = ("run", suite, "--results", results, "--cpus", "1") if command == "run" else ("worker", results, "--engine", "test_inline")
    answer = cli(*words)
    ends.cancel()
    assert answer.code == 0, answer.err
    (row,) = Snapshot.read(Store(results)).rows.values()
    assert row["status"] == "done"
    assert not compaction.compacting()
