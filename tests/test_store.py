"""The store: whole fragments or none, schema versions, readers of other tools."""

import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from latentbench.compaction import join_fragments
from latentbench.errors import UserError
from latentbench.files import write_atomically
from latentbench.store import Store, revision
from latentbench.tables import METADATA_KEY, SCHEMA_VERSION, TABLES


def metric(value, run="r1"):
    return {"run_id": run, "evaluation": "elbo", "evaluation_id": "elbo-1", "split": "validation", "metric": "nelbo", "value": value}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def test_rows_come_back_and_pandas_reads_them_without_us(store):
    store.write_rows("metrics", "a", [metric(1.0)])
    store.write_rows("metrics", "b", [metric(2.0, "r2")])
    assert sorted(store.read("metrics")["value"]) == [1.0, 2.0]
    plain = pd.read_parquet(store.path / "metrics")
    assert list(plain.columns) == list(TABLES["metrics"])
    assert sorted(plain["value"]) == [1.0, 2.0]


def test_a_newer_evaluation_replaces_the_older(store):
    for value in (1.0, 3.0):
        store.write_rows("metrics", "r1-elbo-1", [metric(value)])
    assert store.read("metrics")["value"].tolist() == [3.0]


def test_the_schema_is_in_the_metadata(store):
    store.write_rows("metrics", "a", [metric(1.0)])
    assert pq.read_schema(store.path / "metrics" / "a.parquet").metadata[b"latentbench_schema"] == str(SCHEMA_VERSION).encode()


def test_a_newer_schema_is_refused(store):
    store.write_rows("metrics", "a", [metric(1.0)])
    path = store.path / "metrics" / "a.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"latentbench_schema": str(SCHEMA_VERSION + 1)}), path)
    with pytest.raises(UserError, match=f"schema version {SCHEMA_VERSION + 1}, this latentbench reads up to {SCHEMA_VERSION}"):
        store.read("metrics")
    with pytest.raises(UserError, match=r"schema version"):
        store.check_writable()


def test_a_foreign_or_damaged_file_is_named(store):
    folder = store.path / "metrics"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"x": [1]}), folder / "foreign.parquet")
    with pytest.raises(UserError, match=r"foreign.parquet is not a fragment"):
        store.read("metrics")
    (folder / "foreign.parquet").unlink()
    store.write_rows("metrics", "a", [metric(1.0)])
    whole = (folder / "a.parquet").read_bytes()
    (folder / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"a.parquet is damaged"):
        store.read("metrics")


WRITER = """
import os, signal, sys
from pathlib import Path
import latentbench.files as files
from latentbench.store import Store

real_open, real_replace, point = Path.open, Path.replace, sys.argv[2]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Torn:
    def __init__(self, file): self.file = file
    def __enter__(self): self.file.__enter__(); return self
    def __exit__(self, *a): return self.file.__exit__(*a)
    def write(self, content):
        self.file.write(content[: len(content) // 2]); self.file.flush(); die()

if point == "half":
    Path.open = lambda self, *a, **k: Torn(real_open(self, *a, **k))
if point == "before rename":
    Path.replace = lambda self, target: die()
if point == "after rename":
    Path.replace = lambda self, target: (real_replace(self, target), die())
row = {"run_id": "r1", "evaluation": "elbo", "evaluation_id": "elbo-1", "split": "validation", "metric": "nelbo", "value": 2.0}
Store(Path(sys.argv[1])).write_rows("metrics", "r1", [row])
"""


@pytest.mark.parametrize(("point", "expected"), [("half", [1.0]), ("before rename", [1.0]), ("after rename", [2.0])])
def test_a_writer_killed_in_the_middle_leaves_the_old_fragment_or_the_new(store, tmp_path, point, expected):
    store.write_rows("metrics", "r1", [metric(1.0)])
    script = tmp_path / "writer.py"
    script.write_text(textwrap.dedent(WRITER))
    killed = subprocess.run([sys.executable, script, store.path, point], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert store.read("metrics")["value"].tolist() == expected
    assert pd.read_parquet(store.path / "metrics")["value"].tolist() == expected
    store.write_rows("metrics", "r1", [metric(5.0)])
    assert store.read("metrics")["value"].tolist() == [5.0]


def test_a_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match=r"No space left"):
        write_atomically(tmp_path / "file", b"content")
    assert not list(tmp_path.iterdir())


def test_checkpoints_come_back_and_damaged_ones_are_named(store):
    store.write_checkpoint("r1", {"a": torch.arange(3.0)})
    assert torch.equal(store.read_checkpoint("r1")["a"], torch.arange(3.0))
    store.checkpoint_path("r1").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"checkpoint .* is damaged"):
        store.read_checkpoint("r1")
    with pytest.raises(UserError, match=r"--force"):
        store.read_checkpoint("r2")


def test_an_empty_store_has_empty_tables(store):
    for table, columns in TABLES.items():
        assert list(store.read(table).columns) == list(columns)
    assert not store.exists()
    assert not store.path.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"file/results is not writable"):
        Store(tmp_path / "file" / "results").check_writable()


def test_what_killed_processes_have_left_half_written_is_removed_once_it_is_old(tmp_path):
    import os
    import time

    store = Store(tmp_path)
    (tmp_path / "runs").mkdir()
    old, new = tmp_path / "runs" / ".a.parquet.1.tmp", tmp_path / "runs" / ".b.parquet.2.tmp"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 7200,) * 2)
    store.check_writable()
    assert not old.exists()
    assert new.exists()


def fill(store, runs=("a1", "b2", "c3"), value=1.0):
    for run_id in runs:
        for evaluation in ("elbo", "knn"):
            key = {"run_id": run_id, "evaluation": evaluation, "evaluation_id": f"{evaluation}-1", "split": "validation"}
            store.write_rows("units", f"{run_id}-{evaluation}-1", [{**key, "unit": 0, "metric": "kl", "value": value}])
            store.write_rows("metrics", f"{run_id}-{evaluation}-1", [{**key, "metric": evaluation, "value": value}])
        store.write_rows("history", run_id, [{"run_id": run_id, "step": 1, "name": "surrogate", "value": value}])
        store.write_rows("runs", run_id, [{"run_id": run_id, "status": "done", "family": "gaussian", "seed": 1}])


def rows_of(store):
    return {
        table: sorted(map(str, store.read(table).astype(object).where(lambda f: f.notna(), None).to_dict("records")))
        for table in ("runs", "metrics", "units", "history")
    }


def test_a_compacted_store_has_the_same_rows_in_four_files(tmp_path):
    store = Store(tmp_path)
    fill(store)
    before = rows_of(store)
    assert join_fragments(store) == 3 + 6 + 6 + 3 - 4
    assert rows_of(store) == before
    assert len(list(tmp_path.glob("*/*.parquet"))) == 4
    assert store.run_states().keys() == {"a1", "b2", "c3"}
    assert sum(map(len, store.evaluated().values())) == 6
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
    assert store.run_states()["a1"]["failure_kind"] == "evaluation"
    metrics = store.read("metrics")
    assert sorted(metrics[metrics["run_id"] == "a1"]["value"]) == [1.0, 9.0]
    assert len(metrics) == 6
    store.forget("c3")
    assert store.run_states().keys() == {"a1", "b2"}
    assert set(store.read("metrics")["run_id"]) == {"a1", "b2"}
    fill(store, ["c3"], 5.0)
    assert sorted(store.read("metrics")["value"]) == [1.0, 1.0, 1.0, 5.0, 5.0, 9.0]
    before = rows_of(store)
    join_fragments(store)
    assert rows_of(store) == before
    assert store.run_states().keys() == {"a1", "b2", "c3"}


def test_compaction_that_is_killed_anywhere_loses_and_doubles_nothing(tmp_path, monkeypatch):
    """Ended at every write and every removal in turn."""

    class KilledError(Exception):
        pass

    for stop in range(100):
        store = Store(tmp_path / str(stop))
        fill(store)
        join_fragments(store)
        fill(store, ["c3", "d4"], 2.0)
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


def test_a_fragment_of_an_older_schema_has_missing_values_where_columns_are_new(store):
    """Version 1 had neither host nor seconds of the device."""
    new = ("host", "device_name", "driver", "threads", "device_seconds", "device_peak_memory_bytes")
    names = [name for name in TABLES["runs"] if name not in new]
    schema = pa.schema([(name, TABLES["runs"][name]) for name in names], metadata={METADATA_KEY: b"1"})
    path = store.path / "runs" / "old.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([{"run_id": "old", "status": "done", "seed": 3}], schema=schema), path)
    store.write_rows("runs", "new", [{"run_id": "new", "status": "done", "host": "here"}])
    rows = store.read("runs").set_index("run_id")
    assert list(store.read("runs").columns) == list(TABLES["runs"])
    assert rows.loc["old", "seed"] == 3
    assert rows.loc["old", [*new]].isna().all()
    assert rows.loc["new", "host"] == "here"
    assert store.read("runs", ["host", "run_id"]).set_index("run_id")["host"].fillna("").to_dict() == {"old": "", "new": "here"}
    join_fragments(store)
    assert store.read("runs").set_index("run_id").loc["old", "seed"] == 3


def test_what_the_store_has_of_a_run_is_one_revision_however_it_is_read(tmp_path):
    """From the whole table by pandas, and from the run's row alone; with missing values, before compaction and after; and other after a change."""
    store = Store(tmp_path)
    fill(store)
    store.update_run("a1", {"started": datetime(2026, 11, 23, 3, 0, 0, 120000, tzinfo=UTC), "failure_message": "a\nb"})

    def revisions():
        rows, evaluated = store.run_states(), store.evaluated()
        whole = {run_id: revision(row, evaluated.get(run_id, set())) for run_id, row in rows.items()}
        assert whole == {run_id: revision(*store.state_of(run_id)) for run_id in rows}
        return whole

    before = revisions()
    assert len(set(before.values())) > 1
    join_fragments(store)
    assert revisions() == before
    store.update_run("a1", {"failure_kind": "evaluation"})
    assert revisions() == {**before, "a1": revisions()["a1"]}
    assert revisions()["a1"] != before["a1"]
    store.write_rows("metrics", "a1-new-1", [{**metric(1.0, "a1"), "evaluation_id": "new-1"}])
    assert revisions()["a1"] != before["a1"]


def test_a_reader_beside_compaction_sees_the_same_rows(tmp_path, monkeypatch):
    """The store is compacted between the moment when files are listed and the one when they are opened."""
    store = Store(tmp_path)
    fill(store)
    rows, listed = store.read("runs"), Store.fragments

    def list_and_compact(self, table):
        found = listed(self, table)
        monkeypatch.setattr(Store, "fragments", listed)
        join_fragments(store)
        return found

    monkeypatch.setattr(Store, "fragments", list_and_compact)
    assert sorted(store.read("runs")["run_id"]) == sorted(rows["run_id"])


def test_looking_at_a_run_of_a_compact_file_writes_nothing(tmp_path):
    store = Store(tmp_path)
    fill(store)
    join_fragments(store)
    files = set(tmp_path.rglob("*"))
    row, evaluated = store.state_of("b2")
    assert (row["status"], evaluated) == ("done", {"elbo-1", "knn-1"})
    assert store.state_of("d4") == (None, set())
    assert set(tmp_path.rglob("*")) == files


def test_temporary_files_of_others_may_go_at_any_time(tmp_path, monkeypatch):
    real = Path.stat

    def gone(path, **kwargs):
        if path.name.endswith(".tmp"):
            raise FileNotFoundError(path)
        return real(path, **kwargs)

    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / ".clock.1.tmp").touch()
    monkeypatch.setattr(Path, "stat", gone)
    Store(tmp_path).check_writable()
