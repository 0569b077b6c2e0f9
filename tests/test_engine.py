"""The local engine under fire: every run ends with the results of an undisturbed suite, whatever is killed and when."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pandas as pd
import pytest

from latentbench import files
from latentbench.engine import use
from latentbench.execute import InterruptedRunError, Job, execute
from latentbench.plan import EvaluationPlan
from latentbench.store import Store

TWELVE = """\
name: twelve
seeds: [1, 2, 3]
evaluations: [elbo]
defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 400, batch_size: 50}}
sweeps:
  - {family: [poisson, gaussian], estimator: [mc, exact], dataset: digits}
"""


def numbers(results):
    """All that was measured and recorded, in one order."""
    tables = [pd.read_parquet(results / table) for table in ("metrics", "history")]
    return [t.sort_values(list(t.columns)).reset_index(drop=True) for t in tables]


def same(one, other):
    return all(a.equals(b) for a, b in zip(numbers(one), numbers(other), strict=True))


@pytest.fixture
def job(make_run):
    evaluation = EvaluationPlan("elbo", {}, "1")
    return Job(make_run(training__steps=5, training__batch_size=20).run, (evaluation,))


def in_a_fork(work):
    """Call `work` in a forked process; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


class Killer:
    """Kills this process at the n-th place where a file is written, renamed or removed: before, in between, or after."""

    def __init__(self, n):
        self.left = n

    def point(self):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def install(self):
        replace, unlink, opened = Path.replace, Path.unlink, Path.open

        def killing(method):
            def wrapped(path, *args, **kwargs):
                self.point()
                result = method(path, *args, **kwargs)
                self.point()
                return result

            return wrapped

        Path.replace, Path.unlink = killing(replace), killing(unlink)

        def opening(path, mode="r", *args, **kwargs):
            if "w" in mode:
                self.point()
            return opened(path, mode, *args, **kwargs)

        Path.open = opening


@pytest.mark.slow
def test_a_run_survives_a_kill_at_every_place_where_it_writes(job, registry, tmp_path):
    """One by one; afterwards the run is executed again and has the same numbers to the last bit, and every file is whole."""
    execute(job, registry, Store(tmp_path / "calm"), "cpu", save_every=0.0)
    places = 0
    while True:
        results = tmp_path / f"killed{places}"

        def disturbed(results=results, places=places):
            Killer(places).install()
            execute(job, registry, Store(results), "cpu", save_every=0.0)

        status = in_a_fork(disturbed)
        if not os.WIFSIGNALED(status):
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        places += 1
        status = in_a_fork(lambda results=results: execute(job, registry, Store(results), "cpu", save_every=0.0))
        assert status == 0
        assert same(results, tmp_path / "calm"), places
        assert Store(results).run_states()[job.run.id]["status"] == "done"
        assert not Store(results).state_path(job.run.id).exists()
        shutil.rmtree(results)
    print(f"{places} places")
    assert places > 40


def test_a_run_that_is_asked_to_stop_goes_on_bit_for_bit(job, registry, tmp_path):
    calm, store = Store(tmp_path / "calm"), Store(tmp_path / "stopped")
    execute(job, registry, calm, "cpu")
    for stop_after in (1, 3):
        seen = []
        with pytest.raises(InterruptedRunError):
            execute(job, registry, store, "cpu", lambda step, steps, seen=seen: seen.append(step), lambda seen=seen, n=stop_after: len(seen) == n)
        assert store.state_path(job.run.id).exists()
    steps = []
    assert execute(job, registry, store, "cpu", lambda step, total: steps.append(step)) is None
    assert steps == [5]  # one and three steps were done before
    assert same(store.path, calm.path)


def test_a_state_with_a_flipped_byte_is_not_used(job, registry, tmp_path):
    store = Store(tmp_path / "r")
    with pytest.raises(InterruptedRunError):
        execute(job, registry, store, "cpu", stopping=lambda: True)
    path = store.state_path(job.run.id)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    steps = []
    with pytest.warns(UserWarning, match="is damaged .its checksum is wrong. and is not used: the run starts anew"):
        execute(job, registry, store, "cpu", lambda step, total: steps.append(step))
    assert steps == [1, 2, 3, 4, 5]
    execute(job, registry, Store(tmp_path / "calm"), "cpu")
    assert same(store.path, tmp_path / "calm")


def test_force_does_not_go_on_from_a_state(job, registry, tmp_path):
    store = Store(tmp_path / "r")
    with pytest.raises(InterruptedRunError):
        execute(job, registry, store, "cpu", stopping=lambda: True)
    steps = []
    execute(Job(job.run, job.evaluations, fresh=True), registry, store, "cpu", lambda step, total: steps.append(step))
    assert steps == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_full_disk_and_a_folder_that_cannot_be_written_leave_no_half_files(job, registry, tmp_path, monkeypatch):
    """The disk fills while a fragment is written: the run fails with the reason, and what is there is whole."""

    def full(path, content):
        temporary = path.with_name(f".{path.name}.1.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content[: len(content) // 2])
            raise OSError(28, "No space left on device", str(path))
        finally:
            temporary.unlink()

    real, calls = files.write_atomically, []

    def sometimes(path, content):
        calls.append(path)
        (full if "metrics" in path.parts else real)(path, content)

    monkeypatch.setattr("latentbench.store.write_atomically", sometimes)
    store = Store(tmp_path / "r")
    failure = execute(job, registry, store, "cpu")
    assert "No space left on device" in failure
    assert not list((tmp_path / "r").rglob("*.tmp"))
    monkeypatch.undo()
    row = store.run_states()[job.run.id]
    assert (row["status"], row["failure_kind"]) in {("failed", "error"), ("done", "evaluation")}
    assert execute(job, registry, store, "cpu") is None


class Suite:
    """The suite of twelve runs from a real command line, whose processes can be told from all others."""

    def __init__(self, folder):
        self.folder, self.mark = folder, uuid.uuid4().hex
        folder.mkdir()
        (folder / "suite.yaml").write_text(TWELVE)

    def start(self, *words):
        command = [sys.executable, "-m", "latentbench", "run", "suite.yaml", "--cpus", "2", *words]
        environment = {**os.environ, "LATENTBENCH_TEST_MARK": self.mark}
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, *words):
        process = self.start(*words)
        out, _ = process.communicate(timeout=300)
        return process.returncode, out

    def processes(self):
        """Live processes of this suite: (pid, what it is)."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    environment, command = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
                if self.mark.encode() in environment and state != "Z":
                    what = "server" if b"forkserver" in command else "tracker" if b"resource_tracker" in command else "parent"
                    found.append((int(entry.name), what))
        servers = {pid for pid, what in found if what == "server"}
        return [(pid, "worker" if what == "server" and parent_of(pid) in servers else what) for pid, what in found]

    def wait_until_gone(self, seconds=15):
        deadline = time.monotonic() + seconds
        while (left := [p for p in self.processes() if p[1] != "tracker"]) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


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
            process.communicate(timeout=300)
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


def test_a_time_limit_ends_a_run_and_keeps_its_state(cli, suite_file, tmp_path):
    text = TWELVE.replace("[1, 2, 3]", "[1]").replace("[poisson, gaussian], estimator: [mc, exact]", "gaussian, estimator: mc")
    words = ("--results", tmp_path / "r", "--cpus", "1")
    answer = cli("run", suite_file(text.replace("steps: 400", "steps: 1000000")), *words, "--time-limit", "3s")
    assert answer.code == 1
    assert "timeout: over 3 s; its state is stored, and --retry timeout goes on from it" in answer.out
    row = pd.read_parquet(tmp_path / "r" / "runs").iloc[0]
    assert (row["status"], row["failure_kind"]) == ("failed", "timeout")
    assert list((tmp_path / "r" / "states").glob("*.safetensors"))


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
