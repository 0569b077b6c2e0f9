"""One run: whatever kills it and when, it ends with the numbers of an undisturbed one."""

import json
import math
import os
import platform
import shutil
import signal

import pandas as pd
import pytest

from latentbench.errors import NonFiniteError
from latentbench.execution.control import Control, InterruptedRunError
from latentbench.execution.execute import execute
from latentbench.execution.job import Job
from latentbench.execution.leases import LeaseLostError, Leases
from latentbench.files import cannot_store
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.suites.evaluation_plan import EvaluationPlan
from tests.kit import Killer, in_a_fork, same


@pytest.fixture
def job(make_run):
    evaluation = EvaluationPlan("elbo", {}, "1")
    return Job(make_run(training__steps=5, training__batch_size=20).run, (evaluation,))


@pytest.mark.slow
def test_a_run_survives_a_kill_at_every_place_where_it_writes(job, registry, tmp_path):
    """One by one; afterwards the run is executed again and has the same numbers to the last bit, and every file is whole."""
    execute(job, registry, Store(tmp_path / "calm"), "cpu", Control(save_every=0.0))
    places = 0
    while True:
        results = tmp_path / f"killed{places}"

        def disturbed(results=results, places=places):
            Killer(places).install()
            execute(job, registry, Store(results), "cpu", Control(save_every=0.0))

        status = in_a_fork(disturbed)
        if not os.WIFSIGNALED(status):
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        places += 1
        status = in_a_fork(lambda results=results: execute(job, registry, Store(results), "cpu", Control(save_every=0.0)))
        assert status == 0
        assert same(results, tmp_path / "calm"), places
        assert Snapshot.read(Store(results)).rows[job.run.id]["status"] == "done"
        assert not Store(results).state_path(job.run.id).exists()
        shutil.rmtree(results)
    print(f"{places} places")
    assert places > 40


def test_a_run_that_is_asked_to_stop_goes_on_bit_for_bit(job, registry, tmp_path):
    calm, store = Store(tmp_path / "calm"), Store(tmp_path / "stopped")
    execute(job, registry, calm, "cpu")
    for stop_after in (1, 3):
        seen = []
        control = Control(lambda step, steps, seen=seen: seen.append(step), lambda seen=seen, n=stop_after: len(seen) == n)
        with pytest.raises(InterruptedRunError):
            execute(job, registry, store, "cpu", control)
        assert store.state_path(job.run.id).exists()
    steps = []
    assert execute(job, registry, store, "cpu", Control(lambda step, total: steps.append(step))) is None
    assert steps == [5]  # one and three steps were done before
    assert same(store.path, calm.path)


def test_a_state_with_a_flipped_byte_is_not_used(job, registry, tmp_path):
    store = Store(tmp_path / "r")
    with pytest.raises(InterruptedRunError):
        execute(job, registry, store, "cpu", Control(stopping=lambda: True))
    path = store.state_path(job.run.id)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    steps = []
    with pytest.warns(UserWarning, match="is damaged .its checksum is wrong. and is not used: the run starts anew"):
        execute(job, registry, store, "cpu", Control(lambda step, total: steps.append(step)))
    assert steps == [1, 2, 3, 4, 5]
    execute(job, registry, Store(tmp_path / "calm"), "cpu")
    assert same(store.path, tmp_path / "calm")


def test_an_owner_that_lost_its_lease_writes_nothing_more(job, registry, tmp_path):
    """At its last step another owner, who found the lease stale, does the whole run: what that has stored stays to the last byte."""
    results = tmp_path / "r"
    results.mkdir()
    old, new = Leases(results / "leases"), Leases(results / "leases")
    assert old.acquire(job.run.id)
    stored = {}

    def meanwhile(step, steps):
        if step == steps:
            (lease,) = (results / "leases").glob("*.json")
            os.utime(lease, (0, 0))
            assert new.acquire(job.run.id)
            assert execute(job, registry, Store(results, fence=new.check), "cpu") is None
            stored.update({path: path.read_bytes() for path in results.rglob("*") if path.is_file()})

    with pytest.raises(LeaseLostError):
        execute(job, registry, Store(results, fence=old.check), "cpu", Control(meanwhile))
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == stored
    assert Snapshot.read(Store(results)).rows[job.run.id]["status"] == "done"


def error_of(work):
    """The OSError that ends `work`, if one does."""
    try:
        work()
    except OSError as error:
        return error
    return None


@pytest.mark.slow
def test_a_full_disk_ends_a_run_with_its_name_and_nothing_half_written(job, registry, tmp_path, disk):
    """The disk is full from the first byte, and then at every place where two more kilobytes are used up."""
    execute(job, registry, Store(tmp_path / "calm"), "cpu", Control(save_every=0.0))
    small, room, refused = disk(1024), 0, 0
    while True:
        results = small.folder / f"r{room}"
        small.fill(leave=room)
        failure = error_of(lambda results=results: execute(job, registry, Store(results), "cpu", Control(save_every=0.0)))
        if failure is None:
            break
        assert cannot_store(failure)
        assert str(results) in str(failure)
        refused += 1
        assert not list(results.rglob("*.tmp"))
        assert set(Snapshot.read(Store(results)).rows) <= {job.run.id}
        small.make_room()
        assert execute(job, registry, Store(results), "cpu", Control(save_every=0.0)) is None
        assert same(results, tmp_path / "calm")
        shutil.rmtree(results)
        room += 8192
    assert refused > 3


def test_a_folder_that_becomes_read_only_ends_a_run_and_it_goes_on_afterwards(job, registry, tmp_path, disk):
    execute(job, registry, Store(tmp_path / "calm"), "cpu", Control(save_every=0.0))
    small = disk(1024)
    store = Store(small.folder / "r")
    with pytest.raises(OSError, match="Read-only file system") as error:
        execute(job, registry, store, "cpu", Control(lambda step, steps: small.remount("ro") if step == 3 else None, save_every=0.0))
    assert str(store.path) in str(error.value)
    small.remount("rw")
    steps = []
    assert execute(job, registry, store, "cpu", Control(lambda step, total: steps.append(step))) is None
    assert steps == [3, 4, 5]
    assert same(store.path, tmp_path / "calm")


def test_what_the_caller_deals_with_is_raised_and_nothing_is_stored(make_run, registry, tmp_path):
    job = Job(make_run(family="test_diverging", training__steps=60).run, ())
    with pytest.raises(NonFiniteError):
        execute(job, registry, Store(tmp_path / "r"), "cpu", Control(unstored=(NonFiniteError,)))
    assert not Store(tmp_path / "r").exists()
    assert "non-finite" in str(execute(job, registry, Store(tmp_path / "r"), "cpu"))


def test_a_row_says_where_its_numbers_come_from(job, registry, tmp_path):
    assert execute(job, registry, Store(tmp_path / "r"), "cpu") is None
    row = pd.read_parquet(tmp_path / "r" / "runs").iloc[0]
    assert row["host"] == platform.node()
    assert row["threads"] == 1
    assert row["device_name"]
    assert pd.isna(row["driver"])
    assert 0 < row["device_seconds"] < row["wall_seconds"] + 0.1  # of one thread
    assert row["cost_constant"] == pytest.approx(8 * 8 / 2 * math.log(math.pi))  # of N(decoded, 1/2) in each pixel
    assert row["steps_per_second"] == pytest.approx(row["steps"] / row["train_seconds"])
    assert 2**25 < row["peak_memory_bytes"] < 2**36
    assert pd.isna(row["device_peak_memory_bytes"])
    assert {"torch", "numpy", "latentbench"} <= json.loads(row["versions"]).keys()
    assert len(row["git_sha"]) == 40
    assert row["git_dirty"] in (True, False)


def test_seconds_of_a_run_that_was_interrupted_are_all_counted(job, registry, tmp_path):
    store = Store(tmp_path / "r")
    with pytest.raises(InterruptedRunError):
        execute(job, registry, store, "cpu", Control(stopping=lambda: True))
    state = store.read_state(job.run.id)
    state["seconds"] += 1000.0
    store.write_state(job.run.id, state)
    assert execute(job, registry, store, "cpu") is None
    row = pd.read_parquet(tmp_path / "r" / "runs").iloc[0]
    assert 1000 < row["train_seconds"] < row["wall_seconds"] < 1100
    assert 1000 < row["device_seconds"] < 1100


def test_a_cpu_without_memory_is_out_of_memory(make_run, registry, tmp_path):
    """torch raises a RuntimeError: the dictionary would take 2^39 bytes."""
    job = Job(make_run(family="test_lca", estimator=None, encoder=None, latent_dim=2**31 - 1, training__steps=2).run, ())
    assert "out-of-memory: " in str(execute(job, registry, Store(tmp_path / "r"), "cpu"))
