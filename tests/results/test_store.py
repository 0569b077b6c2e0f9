"""The store: whole fragments or none, schema versions, readers of other tools."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from latentbench.errors import UserError
from latentbench.execution.compaction import join_fragments
from latentbench.execution.leases import STALE_AFTER, LeaseLostError, Leases
from latentbench.files import FolderError, write_atomically
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store, revision
from latentbench.results.tables import METADATA_KEY, SCHEMA_VERSION, TABLES
from tests.kit import fill, in_a_fork


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
from latentbench.results.store import Store

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
        rows, evaluated = Snapshot.read(store).rows, Snapshot.read(store).evaluated
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


def test_temporary_files_of_others_may_go_at_any_time(tmp_path, monkeypatch):
    real = Path.stat

    def gone(path, **kwargs):
        if path.name.endswith(".tmp") and "probe" not in path.name:
            raise FileNotFoundError(path)
        return real(path, **kwargs)

    (tmp_path / "leases").mkdir()
    (tmp_path / "leases" / ".clock.1.tmp").touch()
    monkeypatch.setattr(Path, "stat", gone)
    Store(tmp_path).check_writable()


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("runs/a1.parquet", "remove it, and the suite trains the run again"),
        ("metrics/a1-elbo-1.parquet", "remove it, and the suite evaluates the run again"),
        ("units/a1-elbo-1.parquet", "remove it together with {}/metrics/a1-elbo-1.parquet, and the suite evaluates the run again"),
        ("evaluations/a1-elbo-1.parquet", "remove it together with {}/metrics/a1-elbo-1.parquet, and the suite evaluates the run again"),
        ("history/a1.parquet", "what training recorded is lost: remove it to do without, or run the suite with --force to train the run again"),
        ("summaries/t.parquet", "get it again from where it came"),
        (
            "runs/compact-000001.parquet",
            "it holds runs of every run that was compacted: put a copy of it back. If you remove it, the suite trains",
        ),
        ("metrics/compact-000001.parquet", "of every run that was compacted: put a copy of it back. If you remove it, the suite evaluates all"),
        ("units/compact-000001.parquet", "the numbers per latent are lost, unless that file of `metrics` is removed too"),
        ("history/compact-000001.parquet", "what their training recorded is lost"),
        ("evaluations/compact-000001.parquet", "it is not known any more how they were evaluated"),
    ],
)
def test_advice_about_a_damaged_file_says_what_helps_and_what_is_lost(store, place, advice):
    fill(store)
    store.write_rows("summaries", "t", [{"family": "poisson", "metric": "nelbo", "value": 1.0}])
    if "compact-" in place:
        join_fragments(store)
    path = store.path / place
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError) as told:
        store.read(path.parent.name)
    assert f"{path} is damaged (" in str(told.value)
    assert advice.format(store.path) in str(told.value)


def test_advice_about_units_holds(store):
    """Without its units an evaluation counts as done; without its metrics it does not, and writes both again."""
    fill(store, ["a1"])
    (store.path / "units" / "a1-elbo-1.parquet").unlink()
    assert Snapshot.read(store).evaluated["a1"] == {"elbo-1", "knn-1"}
    (store.path / "metrics" / "a1-elbo-1.parquet").unlink()
    assert Snapshot.read(store).evaluated["a1"] == store.state_of("a1")[1] == {"knn-1"}


def test_a_changed_byte_is_noticed_or_changes_nothing(store):
    """Pages have checksums; what the footer says is checked by its meaning."""
    fill(store, ["a1"])
    path = store.path / "metrics" / "a1-elbo-1.parquet"
    whole, rows = path.read_bytes(), store.read("metrics")
    noticed = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        try:
            assert store.read("metrics").equals(rows), place
        except UserError as error:
            assert str(path) in str(error)  # noqa: PT017
            noticed += 1
    assert noticed > len(whole) / 3 / 3


@pytest.mark.parametrize("kind", ["checkpoints", "states"])
def test_a_model_that_cannot_be_read_is_not_called_damaged(store, kind):
    store.write_checkpoint("r1", {"a": torch.ones(2)})
    store.write_state("r1", {"a": torch.ones(2)})
    path = store.path / kind / "r1.safetensors"
    path.unlink()
    path.mkdir()
    with pytest.raises(FolderError, match=rf"{path} cannot be read: Is a directory$"):
        (store.read_checkpoint if kind == "checkpoints" else store.read_state)("r1")


def test_no_file_can_be_opened_any_more_is_not_called_damage(store):
    fill(store)
    store.read("metrics")

    def starved():
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        for read in (store.read, store.rows, store.fragments):
            try:
                read("metrics")
            except FolderError as error:
                assert str(error).endswith(("/runs cannot be read: Too many open files", "/metrics cannot be read: Too many open files"))  # noqa: PT017
            else:
                raise AssertionError("it was read")

    assert in_a_fork(starved) == 0


def test_a_failing_disk_is_not_called_damage(store, monkeypatch):
    fill(store)
    real = os.open

    def failing(path, *args, **kwargs):
        if str(path).endswith("a1-elbo-1.parquet"):
            raise OSError(errno.EIO, "Input/output error")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(FolderError, match=r"a1-elbo-1.parquet cannot be read: Input/output error$"):
        store.read("metrics")


CHANGES = {
    "a row": lambda store: store.update_run("a1", {"failure_kind": "evaluation"}),
    "metrics": lambda store: store.write_rows("metrics", "a1-elbo-1", [metric(7.0, "a1")]),
    "an evaluation": lambda store: store.write_rows("evaluations", "a1-elbo-1", []),
    "units": lambda store: store.write_rows("units", "a1-elbo-1", []),
    "history": lambda store: store.write_rows("history", "a1", []),
    "arrays": lambda store: store.write_arrays("a1", "elbo-1", {"x": torch.zeros(1)}),
    "a picture": lambda store: store.write_picture("a1", "elbo-1-x", torch.zeros(2, 2, dtype=torch.uint8)),
    "a model": lambda store: store.write_checkpoint("a1", {"x": torch.zeros(1)}),
    "a state": lambda store: store.write_state("a1", {"x": torch.zeros(1)}),
    "no state": lambda store: store.forget_state("a1"),
    "nothing": lambda store: store.forget("a1"),
}


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_who_has_lost_a_lease_changes_nothing_that_its_new_owner_wrote(tmp_path, change, compacted):
    """An outage of over a minute: the run is another's by then."""
    old, new = Leases(tmp_path / "leases"), Leases(tmp_path / "leases")
    ours, theirs = (Store(tmp_path, fence=owner.check) for owner in (old, new))
    assert old.acquire("a1")
    fill(ours, ["a1"])
    os.utime(tmp_path / "leases" / "a1.1.json", (time.time() - STALE_AFTER - 5,) * 2)
    assert new.acquire("a1")
    fill(theirs, ["a1"], 2.0)
    for write in (store_arrays, store_models):
        write(theirs)
    if compacted:
        join_fragments(Store(tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(LeaseLostError, match="run a1 was taken over by another process"):
        change(ours)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    change(theirs)


def store_arrays(store):
    store.write_arrays("a1", "elbo-1", {"x": torch.ones(3)})
    store.write_picture("a1", "elbo-1-x", torch.ones(2, 2, dtype=torch.uint8))


def store_models(store):
    store.write_checkpoint("a1", {"x": torch.ones(3)})
    store.write_state("a1", {"x": torch.ones(3)})


def test_the_fence_is_asked_at_the_last_moment(tmp_path):
    """When it is asked, the new content has been written beside the old one, and nothing is left to do but to rename it."""
    seen = []
    store = Store(tmp_path, fence=lambda run_id: seen.append((run_id, [path.name for path in (tmp_path / "metrics").iterdir()])))
    store.write_rows("metrics", "a1-elbo-1", [metric(1.0, "a1")])
    ((run_id, names),) = seen
    assert run_id == "a1"
    assert len(names) == 1
    assert names[0].startswith(".a1-elbo-1.parquet")


def test_a_folder_that_was_removed_while_runs_write_is_not_made_anew(tmp_path):
    store = Store(tmp_path / "r", fence=lambda run_id: None)
    (tmp_path / "r").mkdir()
    fill(store)
    shutil.rmtree(tmp_path / "r")
    with pytest.raises(FolderError, match=r"/r was removed while its runs were being worked on"):
        store.write_checkpoint("a1", {"x": torch.zeros(1)})
    assert not (tmp_path / "r").exists()
