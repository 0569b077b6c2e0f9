"""The local engine: one process a run, as many at a time as there are slots, out of a fork server that has torch imported."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from latentbench.errors import UserError
from latentbench.execute import Job, described, execute, provenance
from latentbench.registry import load_registry
from latentbench.store import EVALUATION_FAILED, Store

SLOW_IMPORT = "torch._dynamo"
"""What the first optimiser of a process imports, in two seconds."""
REPORT_EVERY = 0.2
"""Seconds between two reports of a run's progress."""


class Watcher(Protocol):
    """Who is told how the runs go."""

    def started(self, job: Job, device: str) -> None:
        """A run began."""

    def progressed(self, job: Job, step: int, steps: int) -> None:
        """A run got on."""

    def ended(self, job: Job, failure: str | None) -> None:
        """A run is done, or failed with `failure`."""


@dataclass
class _Worker:
    job: Job
    device: str
    process: BaseProcess
    connection: Connection


def run_jobs(jobs: Iterable[Job], results: Path, slots: Sequence[str], watcher: Watcher) -> int:
    """Run all jobs, one process each, at most one a slot (`cpu` or `cuda:N`) at a time; return how many failed.

    A run that fails, or whose process dies, becomes a row of the store and the others go on. Ctrl-C ends the running ones; finished runs stay.
    """
    context = mp.get_context("forkserver")
    plugins = [module.__name__ for module in load_registry().modules.values()]
    context.set_forkserver_preload(["latentbench.engine", SLOW_IMPORT, *plugins])
    queue, free = list(jobs), list(slots)
    running: list[_Worker] = []
    failed = 0
    try:
        while queue or running:
            while queue and free:
                running.append(_start(context, queue.pop(0), results, free.pop(0)))
                watcher.started(running[-1].job, running[-1].device)
            wait([worker.connection for worker in running])
            for worker in list(running):
                done, failure = _listen(worker, results, watcher)
                if done:
                    running.remove(worker)
                    free.append(worker.device)
                    failed += failure is not None
                    watcher.ended(worker.job, failure)
    finally:
        for worker in running:
            worker.process.terminate()
        for worker in running:
            worker.process.join()
    return failed


def _start(context: Any, job: Job, results: Path, device: str) -> _Worker:
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, results, device, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(job, device, process, ours)


def _listen(worker: _Worker, results: Path, watcher: Watcher) -> tuple[bool, str | None]:
    """Take in what a worker has said: whether it ended, and with which failure."""
    while worker.connection.poll():
        try:
            message = worker.connection.recv()
        except EOFError:
            worker.process.join()
            return True, _store_killed(worker, results)
        if message[0] == "progress":
            watcher.progressed(worker.job, *message[1:])
        else:
            worker.process.join()
            return True, message[1]
    return False, None


def _store_killed(worker: _Worker, results: Path) -> str:
    """The row of a run whose process ended without a word."""
    code = worker.process.exitcode or 0
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    message = f"process ended with {how}"
    if worker.job.trained:
        Store(results).update_run(worker.job.run.id, {"failure_kind": EVALUATION_FAILED, "failure_message": message})
    else:
        row = {**described(worker.job.run), **provenance("cpu"), "status": "failed", "failure_kind": "killed", "failure_message": message}
        Store(results).write_rows("runs", worker.job.run.id, [row])
    return f"killed: {message}"


def _work(job: Job, results: Path, device: str, connection: Connection) -> None:
    """What a run's process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides
    last = 0.0

    def report(step: int, steps: int) -> None:
        nonlocal last
        if step == steps or time.monotonic() - last > REPORT_EVERY:
            last = time.monotonic()
            _tell(connection, ("progress", step, steps))

    _tell(connection, ("done", execute(job, load_registry(), Store(results), device, report)))


def _tell(connection: Connection, message: tuple[Any, ...]) -> None:
    """Send a message to the engine; where it has gone, nobody waits for this run, and it ends."""
    try:
        connection.send(message)
    except BrokenPipeError:
        sys.exit(0)


def cpu_slots(workers: int | None) -> list[str]:
    """`workers` CPU slots; by default as many as there are cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ["cpu"] * (workers or cores or 1)


def gpu_slots(wanted: Sequence[int]) -> list[str]:
    """One slot for each of the wanted GPUs.

    Raises:
        UserError: this machine does not have one of them.
    """
    import torch

    count = torch.cuda.device_count()
    missing = [gpu for gpu in wanted if gpu >= count]
    if missing:
        has = f"GPUs 0 to {count - 1}" if count > 1 else "GPU 0 only" if count else "no CUDA GPU"
        raise UserError(f"--gpus {','.join(map(str, missing))}: not on this machine, which has {has}")
    return [f"cuda:{gpu}" for gpu in wanted]
