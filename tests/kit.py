"""What tests of interruption share: a suite whose processes can be told from all others, and processes that die at chosen places."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback
import uuid
from contextlib import suppress
from pathlib import Path

import pandas as pd

from latentbench.results.tables import TABLES

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


def in_a_fork(work):
    """Call `work` in a forked process; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def obey_permissions():
    """Let permissions of files bind this process even if it is root's, by dropping the capabilities that override them (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # _LINUX_CAPABILITY_VERSION_3; effective, permitted, inheritable
    assert libc.capget(header, sets) == 0
    sets[0] &= ~(1 << 1 | 1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, sets) == 0


def forked_cli(words, prepare, log):
    """The command line in a forked process that calls `prepare` first: its exit code, and what it wrote to a file `log`."""

    def work():
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = ["latentbench", *map(str, words)]
        try:
            prepare()
            main()
        except SystemExit as stop:
            code = stop.code or 0
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    from latentbench.__main__ import main

    return os.waitstatus_to_exitcode(in_a_fork(work)), log.read_text()


def fill(store, runs=("a1", "b2", "c3"), value=1.0, evaluations=("elbo", "knn")):
    """Rows of runs in every table but `summaries`; `value` tells what was stored when."""
    for run_id in runs:
        for evaluation in evaluations:
            key = {"run_id": run_id, "evaluation": evaluation, "evaluation_id": f"{evaluation}-1", "split": "validation"}
            store.write_rows("units", f"{run_id}-{evaluation}-1", [{**key, "unit": 0, "metric": "kl", "value": value}])
            store.write_rows("metrics", f"{run_id}-{evaluation}-1", [{**key, "metric": evaluation, "value": value}])
            about = {"options": "{}", "version": "1", "host": f"host {value:g}"}
            store.write_rows("evaluations", f"{run_id}-{evaluation}-1", [{name: key[name] for name in list(key)[:3]} | about])
        store.write_rows("history", run_id, [{"run_id": run_id, "step": 1, "name": "surrogate", "value": value}])
        store.write_rows("runs", run_id, [{"run_id": run_id, "status": "done", "family": "gaussian", "seed": 1, "beta": value}])


def rows_of(store):
    """All rows of every table, in one order."""
    return {table: sorted(map(str, store.rows(table).to_pylist())) for table in TABLES}


class Killer:
    """Kills this process at the n-th place where a file is written, renamed or removed: before, in between, or after."""

    def __init__(self, n):
        self.left = n

    def point(self):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def install(self):
        opened = Path.open

        def killing(method):
            def wrapped(*args, **kwargs):
                self.point()
                result = method(*args, **kwargs)
                self.point()
                return result

            return wrapped

        Path.replace, Path.unlink, Path.touch = killing(Path.replace), killing(Path.unlink), killing(Path.touch)
        os.link, os.utime = killing(os.link), killing(os.utime)

        def opening(path, mode="r", *args, **kwargs):
            if "w" in mode:
                self.point()  # before the file is there, and with the next place after it was made, and after it was filled
            return opened(path, mode, *args, **kwargs)

        Path.open = opening


class Disk:
    """A file system of its own, that can become full or read-only."""

    def __init__(self, folder, kilobytes):
        self.folder = folder
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], check=True, capture_output=True)

    def fill(self, leave=0):
        """Take all room but so many bytes, whoever else writes meanwhile."""
        self.make_room()
        with (self.folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
            while os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize > leave:
                file.write(bytes(4096))

    def make_room(self):
        (self.folder / "filler").unlink(missing_ok=True)

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True, capture_output=True)

    def unmount(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True, capture_output=True)


class Suite:
    """A suite from a real command line, whose processes can be told from all others."""

    prefix = ()
    """A command that starts the command line."""

    def __init__(self, folder, text=TWELVE, **environment):
        self.folder, self.mark, self.environment = folder, uuid.uuid4().hex, environment
        folder.mkdir()
        (folder / "suite.yaml").write_text(text)

    def start(self, *words):
        """`latentbench run`, two runs at a time."""
        return self.call("run", "suite.yaml", "--cpus", "2", *words)

    def call(self, *words, **environment):
        command = [*self.prefix, sys.executable, "-m", "latentbench", *words]
        environment = {**os.environ, "LATENTBENCH_TEST_MARK": self.mark, **self.environment, **environment}
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


PLUGIN = '''\
"""A plugin that tests edit."""

import os
from pathlib import Path

import torch
from torch.distributions import Normal

from latentbench import hookimpl
from latentbench.api import DataSet, Evaluation, Measure, Metric, Outcome, Split, Splits, TorchFamily, cached

SCALE = 1.0


class Edited(TorchFamily):
    """Gaussian latents."""

    name = "edited"
    version = "1"

    def __init__(self, assembly, options):
        super().__init__(assembly, options)
        self.features = self.latent_dim

    def posterior_distribution(self, features):
        if os.environ.get("EDITED_FAILS") == "memory":
            raise MemoryError("planted")
        return Normal(features, SCALE, validate_args=False)

    def prior_distribution(self, batch):
        return Normal(torch.zeros(batch, self.latent_dim), 1.0)

    def begin_epoch(self, epoch, epochs):
        new = os.environ.get("EDITED_WHILE_IT_TRAINS")
        if new:
            Path(__file__).write_text(Path(__file__).read_text().replace("SCALE = 1.0", new, 1))


class Shades(DataSet):
    """Images of one shade, prepared once."""

    name = "shades"
    data_shape = (1, 2, 2)
    defaults = {"likelihood": "gaussian"}

    def load(self, cache):
        made = cached(cache, "shades-1", type(self), self.make)
        return Splits(Split(made["images"]), Split(made["images"] + 1))

    def make(self):
        return {"images": torch.linspace(0, 1, 20).view(-1, 1, 1, 1).expand(20, 1, 2, 2) * SCALE}


class Counted(Evaluation):
    """Notes each call in a file."""

    name = "counted"
    metrics = {"counted": Measure(None, "none", "The scale.")}

    def __init__(self, options):
        pass

    def evaluate(self, trained, generator):
        with open(os.environ["EDITED_LOG"], "a") as file:
            file.write(self.name + "\\n")
        return Outcome([Metric(self.name, SCALE)])


class CountedToo(Counted):
    """The same under another name."""

    name = "counted_too"
    metrics = {"counted_too": Measure(None, "none", "The scale.")}


@hookimpl
def register_families():
    return [Edited]


@hookimpl
def register_datasets():
    return [Shades]


@hookimpl
def register_evaluations():
    return [Counted, CountedToo]


if os.environ.get("EDITED_AT_IMPORT"):
    Path(__file__).write_text(Path(__file__).read_text().replace("SCALE = 1.0", os.environ["EDITED_AT_IMPORT"], 1))
'''


class Plugin:
    """A plugin in a folder of its own, that can be edited between real command lines."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "latentbench_edited.py"
        info = folder / "latentbench_edited-0.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: latentbench-edited\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text("[latentbench]\nlatentbench_edited = latentbench_edited\n")
        self.path.write_text(PLUGIN)
        self.log = folder / "log"

    def edit(self, old, new):
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new, 1))

    def call(self, *words, **environment):
        """`python *words` with the plugin installed."""
        path = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, "EDITED_LOG": str(self.log), **environment}
        return subprocess.run([sys.executable, *map(str, words)], env=environment, capture_output=True, text=True, check=False, timeout=120)

    def latentbench(self, *words, **environment):
        return self.call("-m", "latentbench", *words, **environment)

    def calls(self):
        """The evaluations that were called since the last time."""
        found = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return found
