"""The local engine under fire: every run ends with the results of an undisturbed suite, whatever is killed and when."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from latentbench_local import pool
from latentbench_local.processes import STOPPED, use
from latentbench_local.worker import EXIT_WITHIN

from latentbench.results.store import Store
from tests.kit import TWELVE, Suite, same


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    suite = Suite(tmp_path_factory.mktemp("calm") / "suite")
    code, out = suite.finish()
    assert code == 0, out
    assert not suite.wait_until_gone()
    return suite.folder / "results"


ROUNDS = int(os.environ.get("LATENTBENCH_KILL_ROUNDS", "5"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_kills_lose_nothing(seed, calm, tmp_path):
    """A worker, the fork server or the whole parent, at random times, then the same command until it is done."""
    draw, suite = random.Random(seed), Suite(tmp_path / "suite")
    kills = []
    for _ in range(6):
        process = suite.start()
        victim = draw.choice(["worker", "worker", "server", "parent"])
        deadline, targets = time.monotonic() + 60, []
        while not targets and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05 + draw.random())
            targets = [pid for pid, what in suite.processes() if what == victim]
        if targets:
            kills.append(victim)
            try:
                os.kill(draw.choice(targets), signal.SIGKILL)
            except ProcessLookupError:
                kills.pop()
        if victim == "parent":
            process.communicate(timeout=60)
            assert not suite.wait_until_gone(), "orphans"
        else:
            out, _ = process.communicate(timeout=300)
            assert process.returncode == 0, out
        if process.returncode == 0:
            break
    code, out = suite.finish()
    assert code == 0, out
    assert same(suite.folder / "results", calm), kills
    assert not list((suite.folder / "results" / "leases").glob("*.json"))
    assert set(pd.read_parquet(suite.folder / "results" / "runs")["status"]) == {"done"}
    assert not suite.wait_until_gone()


@pytest.mark.slow
def test_two_invocations_share_the_work_and_none_runs_a_run_twice(calm, tmp_path):
    suite = Suite(tmp_path / "suite")
    one, other = suite.start(), suite.start()
    outs = [process.communicate(timeout=300)[0] for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), outs
    assert same(suite.folder / "results", calm)
    done = [len(re.findall(r"^\[\d+/12\] [^:]*: done(?:, about.*)?$", out, re.MULTILINE)) for out in outs]
    by_others = [out.count("done by another invocation") for out in outs]
    assert sum(done) == 12  # each run by one of them
    assert [d + o for d, o in zip(done, by_others, strict=True)] == [12, 12]
    logs = list((suite.folder / "results" / "logs").glob("*.log"))
    assert len(logs) == 12


@pytest.mark.slow
def test_a_full_disk_ends_a_suite_with_one_message_and_it_goes_on_when_there_is_room(calm, disk):
    small = disk(4096)
    suite = Suite(small.folder / "suite")
    process = suite.start()
    while len(list((suite.folder / "results" / "runs").glob("*.parquet"))) < 3 and process.poll() is None:
        time.sleep(0.05)
    small.fill()
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 2, out
    assert re.search(
        r"error: .*No space left on device: .*results.*\. What is stored is whole; the same command continues once the folder can be written",
        out,
    )
    assert "Traceback" not in out
    assert not suite.wait_until_gone()
    assert not list(suite.folder.rglob("*.tmp"))
    small.make_room()
    code, out = suite.finish()
    assert code == 0, out
    assert same(suite.folder / "results", calm)


@pytest.fixture
def obeys_modes():
    """A command that starts a program for which folders that may not be written are so, as they are not for root otherwise."""
    if os.geteuid() != 0:
        return ()
    prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("root may write anywhere, and setpriv cannot take that away here")
    return prefix


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_any_more_ends_a_suite_with_one_message(calm, tmp_path, obeys_modes):
    suite = Suite(tmp_path / "suite")
    suite.prefix, results = obeys_modes, suite.folder / "results"
    process = suite.start()
    while len(list((results / "runs").glob("*.parquet"))) < 3 and process.poll() is None:
        time.sleep(0.05)
    subprocess.run(["chmod", "-R", "a-w", str(results)], check=True)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 2, out
    assert re.search(
        r"error: .*Permission denied: .*results.*\. What is stored is whole; the same command continues once the folder can be written", out
    )
    for word in ("compact", "cancel"):
        told, _ = (called := suite.call(word, "--results", "results")).communicate(timeout=60)
        assert (called.returncode, told.count("\n")) == (2, 1), told
        assert "ermission denied" in told
    assert "Traceback" not in out
    assert not suite.wait_until_gone()
    subprocess.run(["chmod", "-R", "u+w", str(results)], check=True)
    code, out = suite.finish()
    assert code == 0, out
    assert same(results, calm)


@pytest.mark.slow
def test_sigterm_to_every_process_at_once_saves_the_runs(tmp_path):
    """As Slurm, systemd and terminals end a job, more than once: the fork server must not die before the runs have saved their states."""
    suite = Suite(tmp_path / "suite", TWELVE.replace("[1, 2, 3]", "[1]").replace("steps: 400", "steps: 100000"))
    process = suite.start()
    while len(list((suite.folder / "results" / "leases").glob("*.progress"))) < 2 and process.poll() is None:
        time.sleep(0.1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        for pid, _ in suite.processes():
            os.kill(pid, number)
        time.sleep(0.01)
    out, _ = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGTERM), out  # the last signal may come when all is saved
    assert "interrupted: 0 of 4 runs ended" in out
    assert len(list((suite.folder / "results" / "states").glob("*.safetensors"))) == 2
    assert not suite.wait_until_gone()


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


STOPPED_AS_IT_WRITES = """
import os, signal, sys
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace
from latentbench.files import write_atomically
from latentbench_local import processes

def ended(job, store, device, control):
    os.fsync = lambda file: os.kill(os.getpid(), signal.SIGTERM)
    write_atomically(Path(sys.argv[1]) / "row.parquet", b"a row")

processes._ended = ended
job = SimpleNamespace(run=SimpleNamespace(id="1", about="a run"))
processes.execute_in_process(job, Path(sys.argv[1]), "owner", "cpu", Pipe()[1], save_every=60)
"""


def test_a_run_that_is_stopped_as_it_writes_leaves_no_half_of_a_file(tmp_path):
    done = subprocess.run([sys.executable, "-c", STOPPED_AS_IT_WRITES, tmp_path], check=False, capture_output=True, text=True)
    assert done.returncode == STOPPED, done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".log"] == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_suite_can_be_stopped_while_its_fork_server_starts(number, tmp_path):
    suite = Suite(tmp_path / "suite", LATENTBENCH_TEST_SLOW_FORK_SERVER="15")
    process = suite.start()
    wait_until(lambda: "server" in [what for _, what in suite.processes()])
    process.send_signal(number)
    assert process.wait(timeout=10) == 130
    out, _ = process.communicate(timeout=60)  # the server has the other end, too, until it has imported all and sees that it is alone
    assert "interrupted: 0 of 12 runs ended" in out
    assert not list((suite.folder / "results" / "leases").glob("*"))
    assert not suite.wait_until_gone()


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def paused(suite, process):
    """Stop a suite as Ctrl-Z does; its runs' processes stop too, each as soon as the kernel gives it the signal."""
    wait_until(lambda: len([what for _, what in suite.processes() if what == "worker"]) == 2)
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: state_of(process.pid) == "T")
    wait_until(lambda: {state_of(pid) for pid, what in suite.processes() if what == "worker"} == {"T"})


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_suite_that_is_paused_goes_on(calm, tmp_path):
    suite = Suite(tmp_path / "suite")
    process = suite.start()
    paused(suite, process)
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    assert same(suite.folder / "results", calm)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_runs_that_others_took_over_from_a_paused_suite_are_left_to_them(calm, tmp_path):
    suite = Suite(tmp_path / "suite", LATENTBENCH_TEST_NODES="1")  # there a lease lasts eight seconds
    process = suite.call("run", "suite.yaml", "--cpus", "2", SLURMD_NODENAME="n1")
    paused(suite, process)
    begun = {path.stem for path in (suite.folder / "results" / "logs").glob("*.log")}
    other = suite.call("run", "suite.yaml", "--cpus", "2", SLURMD_NODENAME="n2")
    out, _ = other.communicate(timeout=200)
    assert other.returncode == 0, out
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    assert same(suite.folder / "results", calm)
    for run_id in begun:
        lines = (suite.folder / "results" / "logs" / f"{run_id}.log").read_text().splitlines()
        nodes = [line.split()[1] for line in lines]
        assert nodes == sorted(nodes), lines  # when n2 had begun, n1 did nothing more


@pytest.mark.slow
def test_a_fork_server_that_is_killed_while_it_starts_is_started_again(calm, tmp_path):
    suite = Suite(tmp_path / "suite")
    process = suite.start()
    while not (servers := [pid for pid, what in suite.processes() if what == "server"]) and process.poll() is None:
        time.sleep(0.02)
    os.kill(servers[0], signal.SIGKILL)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    assert same(suite.folder / "results", calm)


@pytest.mark.slow
def test_a_process_that_does_not_exit_is_killed_when_its_run_is_over(cli, suite_file, tmp_path):
    """A plugin has left a thread behind, for which a process waits."""
    text = TWELVE.replace("[1, 2, 3]", "[1]").replace("[poisson, gaussian], estimator: [mc, exact]", "gaussian, estimator: [mc, exact]")
    began = time.monotonic()
    answer = cli("run", suite_file(text.replace("[elbo]", "[elbo, test_lingering]")), "--results", tmp_path / "r", "--cpus", "2")
    assert answer.code == 0, answer.out
    assert "2 runs in" in answer.out
    assert EXIT_WITHIN < time.monotonic() - began < 100


@pytest.fixture
def fake_gpus(monkeypatch, tmp_path):
    """Two GPUs for the processes of a suite; `memory` says what their runs claim and need."""

    def make(**memory):
        settings = {"count": 2, "folder": str(tmp_path / "gpus"), **memory}
        monkeypatch.setenv("LATENTBENCH_TEST_FAKE_GPUS", json.dumps(settings))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return lambda: [int(n) for n in (tmp_path / "gpus" / "most").read_text().split()]

    return make


def gpu_suite(folder, *words, steps=100):
    suite = Suite(folder, TWELVE.replace("steps: 400", f"steps: {steps}"))
    process = suite.call("run", "suite.yaml", "--gpus", "0,1", *words)
    out, _ = process.communicate(timeout=200)
    return process.returncode, out, pd.read_parquet(folder / "results" / "runs")


@pytest.mark.slow
def test_runs_go_to_every_gpu_and_see_only_theirs(fake_gpus, tmp_path):
    at_once = fake_gpus(capacity=1000, needs=100)
    code, out, runs = gpu_suite(tmp_path / "suite", "--per-gpu", "2")
    assert code == 0, out
    assert "12 to run, 2 at a time on each of 2 GPUs" in out
    assert {json.loads(text)["visible_devices"] for text in runs["hardware"]} == {"0", "1"}
    assert max(at_once()) == 2
    assert set(runs["device"]) == {"cuda"}


@pytest.mark.slow
def test_auto_packs_what_fits(fake_gpus, tmp_path):
    """Of 1000 bytes .9 are filled: three runs of 250 fit."""
    at_once = fake_gpus(capacity=1000, claims=250, needs=250)
    code, out, _ = gpu_suite(tmp_path / "suite", "--per-gpu", "auto", steps=1000)  # so long that three meet
    assert code == 0, out
    assert "as many as fit at a time on each of 2 GPUs" in out
    assert max(at_once()) == 3
    assert at_once()[0] == 1


@pytest.mark.slow
def test_auto_backs_off_when_memory_runs_out(fake_gpus, tmp_path):
    """Runs claim 200 and need 400 of 1000: three would not fit, and no run fails."""
    at_once = fake_gpus(capacity=1000, claims=200, needs=400)
    code, out, runs = gpu_suite(tmp_path / "suite", "--per-gpu", "auto", steps=1000)
    assert code == 0, out
    assert max(at_once()) >= 3
    assert at_once()[-1] <= 2
    assert set(runs["status"]) == {"done"}


@pytest.mark.slow
def test_a_run_that_finds_no_memory_alone_fails(fake_gpus, tmp_path):
    fake_gpus(capacity=1000, claims=200, needs=2000)
    code, _, runs = gpu_suite(tmp_path / "suite", "--per-gpu", "auto", "--only", "seed=1")
    assert code == 1
    assert set(runs["failure_kind"]) == {"out-of-memory"}


def test_a_gpu_that_is_not_there_is_named(cli, suite_file):
    answer = cli("run", suite_file(TWELVE), "--gpus", "0-1000")
    assert answer.code == 2
    assert "--gpus 0-1000: not on this machine, which has" in answer.err


def test_a_time_limit_ends_a_run_and_keeps_its_state(cli, suite_file, tmp_path):
    text = TWELVE.replace("[1, 2, 3]", "[1]").replace("[poisson, gaussian], estimator: [mc, exact]", "gaussian, estimator: mc")
    words = ("--results", tmp_path / "r", "--cpus", "1")
    answer = cli("run", suite_file(text.replace("steps: 400", "steps: 1000000")), *words, "--time-limit", "3s")
    assert answer.code == 1
    assert "timeout: over 3 s; its state is stored, and --retry timeout resumes from it" in answer.out
    row = pd.read_parquet(tmp_path / "r" / "runs").iloc[0]
    assert (row["status"], row["failure_kind"]) == ("failed", "timeout")
    assert "1 failed: timeout; 0 running, 0 queued, 0 interrupted" in cli("status", "--results", tmp_path / "r").out
    store = Store(tmp_path / "r")
    before = int(store.read_state(row["run_id"])["step"])
    assert before > 0
    again = cli("run", suite_file(text.replace("steps: 400", "steps: 1000000")), *words, "--retry", "timeout", "--time-limit", "3s")
    assert again.code == 1
    assert int(store.read_state(row["run_id"])["step"]) > before


def test_a_run_that_does_not_heed_its_time_limit_is_killed(cli, suite_file, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "GRACE", 1.0)
    text = TWELVE.replace("[1, 2, 3]", "[1]").replace("family: [poisson, gaussian], estimator: [mc, exact]", "family: test_sleeping")
    text = text.replace("encoder: linear, ", "")
    answer = cli("run", suite_file(text), "--results", tmp_path / "r", "--cpus", "1", "--time-limit", "3s")
    assert answer.code == 1
    assert "timeout: over 3 s; it has no state" in answer.out


@pytest.mark.parametrize("text", ["0", "-3s", "3 days", "x"])
def test_a_wrong_duration_is_refused(cli, suite_file, text):
    answer = cli("run", suite_file(TWELVE), "--time-limit", text)
    assert answer.code == 2
    assert "expected a duration above 0, like 90s, 30m or 12h" in answer.err


def test_fail_fast_stops_at_the_first_failure(cli, suite_file, tmp_path):
    text = TWELVE.replace("family: [poisson, gaussian], estimator: [mc, exact]", "family: [test_crashing, gaussian], estimator: mc")
    answer = cli("run", suite_file(text), "--results", tmp_path / "r", "--cpus", "1", "--fail-fast")
    assert answer.code == 1
    assert len(pd.read_parquet(tmp_path / "r" / "runs")) < 6


def test_retry_takes_kinds(cli, suite_file, tmp_path):
    answer = cli("run", suite_file(TWELVE), "--results", tmp_path / "r", "--retry", "kiled")
    assert answer.code == 2
    assert "--retry kiled: unknown kind of failure 'kiled' (did you mean 'killed'?)" in answer.err


def test_a_slot_shows_one_gpu_to_its_process(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-6,7")
    assert use("cuda:2") == "cuda:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-6"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert use("cuda:3") == "cuda:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert use("cpu") == "cpu"


def test_too_few_open_files_are_one_message_before_anything_runs(tmp_path):
    suite = Suite(tmp_path / "suite")
    suite.prefix = ("sh", "-c", 'ulimit -n 12; exec "$@"', "sh")
    code, out = suite.finish()
    assert code == 2
    assert "a process may have 12 files open here, and running 2 at a time needs 80: raise the limit with ulimit -n" in out
    assert "Traceback" not in out
    assert not list((suite.folder / "results").rglob("*.parquet"))
