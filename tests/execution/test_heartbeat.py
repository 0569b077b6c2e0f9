"""The heartbeat: leases stay fresh while their process lives, and nothing is written about one that was given back."""

import json
import os
import threading
import time

import pytest

from latentbench.execution import heartbeat as module
from latentbench.execution.heartbeat import Heartbeat
from latentbench.execution.leases import STALE_AFTER, Leases


@pytest.fixture
def leases(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RENEW_EVERY", 0.02)
    return Leases(tmp_path / "leases")


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def begun(leases, run_id="r"):
    heart = Heartbeat(leases)
    assert heart.acquire(run_id)
    return heart


def beating():
    return [thread for thread in threading.enumerate() if thread.name == "heartbeat of leases"]


def test_a_lease_is_renewed_whatever_its_owner_does(leases):
    heart, path = begun(leases), leases.folder / "r.1.json"
    old = time.time() - STALE_AFTER - 5
    for _ in range(2):
        os.utime(path, (old, old))
        wait_until(lambda: path.stat().st_mtime > old + STALE_AFTER)
    heart.release("r")


def test_progress_that_is_told_is_seen_by_others(leases):
    heart = begun(leases)
    assert heart.renew("r", (3, 10, 2.0))
    assert heart.renew("r", None)
    wait_until(lambda: Leases(leases.folder).all()["r"].progress == (3, 10, 2.0))
    heart.release("r")


def test_an_owner_is_told_that_a_run_was_taken_over(leases):
    heart, path = begun(leases), leases.folder / "r.1.json"
    (leases.folder / "r.2.json").write_text(json.dumps({**json.loads(path.read_text()), "owner": "another"}))
    wait_until(lambda: not heart.renew("r", (1, 2, 3.0)))
    heart.release("r")


def test_nothing_is_written_about_a_lease_that_was_released(leases):
    for turn in range(20):
        heart = begun(leases, f"r{turn}")
        heart.renew(f"r{turn}", (1, 2, 3.0))
        time.sleep(0.02)  # a beat is near
        heart.release(f"r{turn}")
    time.sleep(0.1)
    assert not list(leases.folder.iterdir())


def test_a_renewal_that_fails_is_made_again(leases, monkeypatch):
    renew, calls = Leases.renew, []

    def failing(owner, run_id, progress=None):
        calls.append(run_id)
        if len(calls) < 3:
            raise OSError("stale file handle")
        return renew(owner, run_id, progress)

    monkeypatch.setattr(Leases, "renew", failing)
    heart = begun(leases)
    wait_until(lambda: len(calls) > 4)
    assert heart.renew("r", None)
    heart.release("r")


def test_the_thread_ends_with_the_last_lease(leases):
    wait_until(lambda: not beating())
    heart = begun(leases, "r")
    assert heart.acquire("s")
    assert len(beating()) == 1
    heart.release("r")
    assert set(leases.all()) == {"s"}
    assert len(beating()) == 1
    heart.release("s")
    wait_until(lambda: not beating())
