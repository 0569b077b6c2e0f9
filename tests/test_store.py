"""The store: whole fragments or none, schema versions, readers of other tools."""

import os
import signal
import subprocess
import sys
import textwrap

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from latentbench.errors import UserError
from latentbench.files import write_atomically
from latentbench.store import SCHEMA_VERSION, TABLES, Store


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
    with pytest.raises(UserError, match=r"checkpoint .* cannot be read"):
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
