"""Leases: one owner a run, whatever dies and whatever clocks say."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from latentbench.execution import leases as module
from latentbench.execution import process
from latentbench.execution.leases import STALE_AFTER, Leases
from latentbench.execution.process import is_gone, this_process
from tests.kit import Killer, in_a_fork


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "leases"


def age(folder, seconds, run_id="r"):
    path = folder / f"{run_id}.1.json"
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def foreign(folder, run_id="r", **changes):
    """A lease of another machine."""
    owner = Leases(folder)
    assert owner.acquire(run_id)
    path = folder / f"{run_id}.1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere", **changes}))
    return owner


def test_a_run_has_one_owner(folder):
    one, other = Leases(folder), Leases(folder)
    assert one.acquire("r")
    assert not other.acquire("r")
    assert other.acquire("s")
    assert set(other.all()) == {"r", "s"}
    one.release("r")
    assert other.acquire("r")
    assert not one.renew("r")
    one.release("r")  # not ours any more: nothing happens
    assert not one.acquire("r")


def winners(folder, run_id):
    """How many of eight owners who try at once get the run."""
    won, barrier = [], threading.Barrier(8)

    def attempt(owner):
        barrier.wait()
        if owner.acquire(run_id):
            won.append(owner)

    threads = [threading.Thread(target=attempt, args=(Leases(folder),)) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return len(won)


def test_of_many_who_try_at_once_one_gets_it(folder):
    assert [winners(folder, f"r{turn}") for turn in range(20)] == [1] * 20


def test_a_stale_lease_of_another_machine_is_taken_over_by_one(folder):
    for turn in range(20):
        first = foreign(folder, f"r{turn}")
        age(folder, STALE_AFTER + 5, f"r{turn}")
        assert winners(folder, f"r{turn}") == 1
        assert not first.renew(f"r{turn}")


def test_a_lease_that_is_renewed_stays(folder):
    owner = foreign(folder)
    age(folder, STALE_AFTER + 5)
    assert owner.renew("r")
    assert not Leases(folder).acquire("r")


def test_a_lease_of_a_dead_process_of_this_machine_is_stale_at_once(folder):
    code = f"from pathlib import Path; from latentbench.execution.leases import Leases; print(Leases(Path({str(folder)!r})).acquire('r'))"
    taken = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert taken.stdout.strip() == "True"
    assert Leases(folder).acquire("r")


def test_a_process_number_that_was_used_again_is_another_process(folder):
    owner = Leases(folder)
    assert owner.acquire("r")
    path = folder / "r.1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": "1"}))  # this process's number, of a process since boot
    assert Leases(folder).acquire("r")


@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks_an_hour_apart_do_not_matter(folder, hours, monkeypatch):
    """Ages are told by the file system's clock; this machine's own is an hour off."""
    foreign(folder)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
    assert not Leases(folder).acquire("r")
    assert set(Leases(folder).all()) == Leases(folder).busy() == {"r"}
    os.utime(folder / "r.1.json", (real() - STALE_AFTER - 5,) * 2)
    assert Leases(folder).acquire("r")


def test_sweeping_removes_what_is_stale_and_nothing_else(folder):
    owner = Leases(folder)
    foreign(folder, "gone").renew("gone", (1, 2, 3.0))
    age(folder, STALE_AFTER + 1, "gone")
    foreign(folder, "elsewhere")
    owner.acquire("mine")
    Leases(folder).sweep()
    assert sorted(path.name for path in folder.iterdir()) == ["elsewhere.1.json", "mine.1.json"]
    assert Leases(folder).busy() == {"elsewhere", "mine"}


def test_a_damaged_lease_is_nobody_s_once_it_is_old(folder):
    folder.mkdir()
    (folder / "r.1.json").write_text("{")
    assert not Leases(folder).acquire("r")
    age(folder, STALE_AFTER + 5)
    assert Leases(folder).acquire("r")


def test_nothing_else_is_left_behind(folder):
    foreign(folder)
    age(folder, STALE_AFTER + 5)
    other = Leases(folder)
    assert other.acquire("r")
    assert other.renew("r", (3, 10, 2.0))
    assert other.all()["r"].progress == (3, 10, 2.0)
    (folder / "r.progress").unlink()
    assert [path.name for path in folder.iterdir()] == ["r.2.json"]
    assert module.RENEW_EVERY < STALE_AFTER / 3


def test_a_lease_that_its_living_process_has_forgotten_is_anybody_s_once_it_is_old(folder):
    assert Leases(folder).acquire("r")
    assert not Leases(folder).acquire("r")
    age(folder, STALE_AFTER + 5)
    assert Leases(folder).acquire("r")


def test_a_process_of_another_container_with_the_same_name_is_not_looked_up_here(folder, monkeypatch):
    """Its number means nothing here, so its age decides."""
    gone = {**this_process(), "pid": 2**22 + 1}
    assert is_gone(gone)
    monkeypatch.setattr(process, "_place", lambda: "elsewhere")
    assert is_gone(gone) is None
    assert is_gone({**this_process(), "pid": 2**22 + 1})


def test_a_file_system_without_hard_links_will_do(folder, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert winners(folder, "r") == 1
    one, other = Leases(folder), Leases(folder)
    assert one.acquire("s")
    assert not other.acquire("s")
    assert one.renew("s")
    one.release("s")
    assert other.acquire("s")


def test_a_kill_at_any_place_of_a_renewal_leaves_a_lease_that_is_free(folder):
    places = 0
    while True:
        run_id = f"r{places}"

        def disturbed(run_id=run_id, places=places):
            owner = Leases(folder)
            assert owner.acquire(run_id)
            assert owner.renew(run_id, (1, 2, 3.0))
            Killer(places).install()
            assert owner.renew(run_id, (2, 2, 3.0))
            owner.release(run_id)

        if in_a_fork(disturbed) == 0:
            break
        places += 1
        assert run_id not in Leases(folder).busy()
        other = Leases(folder)
        assert other.acquire(run_id)
        assert other.all()[run_id].progress in ((1, 2, 3.0), (2, 2, 3.0), None)
        other.release(run_id)
    assert places > 8
    assert not list(folder.glob("[!.]*"))


def test_giving_back_all_ends_what_an_interruption_left_half_taken(folder):
    one, other = Leases(folder), Leases(folder)
    assert one.acquire("r")
    assert one.acquire("s")
    assert other.acquire("t")
    one.release_all()
    assert Leases(folder).busy() == {"t"}


def test_a_full_disk_names_the_lease_and_leaves_nothing(folder, monkeypatch):
    def full(path, content):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    folder.mkdir()
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"No space left on device: .*r\.1\.json"):
        Leases(folder).acquire("r")
    assert not list(folder.iterdir())
