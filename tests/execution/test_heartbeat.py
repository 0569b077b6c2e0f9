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
    monkeypatch.setattr(module, "TOUCH_EVERY", 0.02)
    return Leases(tmp_path / "leases")


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def begun(leases, run_id="r"):
    assert leases.take(run_id)
    heart = Heartbeat(leases)
    heart.begin(run_id)
    return heart


def beating():
    return [thread for thread in threading.enumerate() if thread.name == "heartbeat of leases"]


def test_a_lease_is_touched_whatever_its_owner_does(leases):
    heart, path = begun(leases), leases.folder / "r.1.json"
    old = time.time() - STALE_AFTER - 5
    for _ in range(2):
        os.utime(path, (old, old))
        wait_until(lambda: path.stat().st_mtime > old + STALE_AFTER)
    heart.end("r")


def test_progress_that_is_told_is_seen_by_others(leases):
    heart = begun(leases)
    assert heart.tell("r", (3, 10, 2.0))
    assert heart.tell("r", None)
    wait_until(lambda: Leases(leases.folder).all()["r"].progress == (3, 10, 2.0))
    heart.end("r")


def test_an_owner_is_told_that_somebody_has_taken_a_run_over(leases):
    heart, path = begun(leases), leases.folder / "r.1.json"
    (leases.folder / "r.2.json").write_text(json.dumps({**json.loads(path.read_text()), "owner": "another"}))
    wait_until(lambda: not heart.tell("r", (1, 2, 3.0)))
    heart.end("r")


def test_nothing_is_written_about_a_lease_that_was_ended(leases):
    for turn in range(20):
        heart = begun(leases, f"r{turn}")
        heart.tell(f"r{turn}", (1, 2, 3.0))
        time.sleep(0.02)  # a beat is near
        heart.end(f"r{turn}")
        leases.give_back(f"r{turn}")
    time.sleep(0.1)
    assert not list(leases.folder.iterdir())


def test_a_touch_that_fails_is_made_again(leases, monkeypatch):
    touch, calls = Leases.touch, []

    def failing(owner, run_id, progress=None):
        calls.append(run_id)
        if len(calls) < 3:
            raise OSError("stale file handle")
        return touch(owner, run_id, progress)

    monkeypatch.setattr(Leases, "touch", failing)
    heart = begun(leases)
    wait_until(lambda: len(calls) > 4)
    assert heart.tell("r", None)
    heart.end("r")


def test_the_thread_ends_with_the_last_lease(leases):
    wait_until(lambda: not beating())
    heart = begun(leases, "r")
    assert leases.take("s")
    heart.begin("s")
    assert len(beating()) == 1
    heart.end("r")
    assert heart.held() == ["s"]
    heart.end("s")
    wait_until(lambda: not beating())
