"""Progress of many runs: a bar with the time left on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from latentbench.engine import Job
from latentbench.failure import Failure
from latentbench.numbers import duration


class Progress:
    """Told by the engine how the runs go; tells the user. `detached` says that the runs outlive this process."""

    def __init__(self, detached: bool = False) -> None:
        self.detached = detached
        self.console = Console(highlight=False)
        self.failures: list[tuple[str, Failure]] = []
        self.expected = self.ended_runs = 0
        self.began = time.monotonic()
        self.bars = Bars(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=self.console
        )
        self.total: TaskID | None = None
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.total is not None:
            self.bars.stop()
        if kind is KeyboardInterrupt and self.detached:
            self.say(f"{self.ended_runs} of {self.expected} runs ended; the rest continue: `latentbench status` shows them, `cancel` stops new ones")
        elif kind is KeyboardInterrupt:
            ended = f"{self.ended_runs} of {self.expected} runs ended and are stored"
            self.say(f"interrupted: {ended}, the others' states too; the same command resumes")

    def watch(self, jobs: Sequence[Job]) -> Self:
        """Expect these runs, in addition to those before."""
        self.expected += len(jobs)
        if self.console.is_terminal and jobs:
            if self.total is None:
                self.bars.start()
                self.total = self.bars.add_task("all runs", total=0)
            self.bars.update(self.total, total=self.expected)
        return self

    def started(self, job: Job, where: str) -> None:
        """Add the run's bar; a run that is tried again has one."""
        if self.total is not None and job.run.id not in self.tasks:
            self.tasks[job.run.id] = self.bars.add_task(f"  {job.label}", total=None)

    def progressed(self, job: Job, step: int, steps: int) -> None:
        """Move the run's bar."""
        if job.run.id in self.tasks:
            self.bars.update(self.tasks[job.run.id], completed=step, total=steps)

    def ended(self, job: Job, failure: Failure | None) -> None:
        """Count the run, and print its line where there is no terminal."""
        if failure:
            self.failures.append((f"{job.label} ({job.run.id})", failure))
        self._count(job, f"FAILED {failure}" if failure else "done", aloud=failure is not None)

    def left(self, job: Job) -> None:
        """Count a run that another invocation has done."""
        self._count(job, "done by another invocation", aloud=False)

    def summary(self, results: Path, not_run: int = 0) -> None:
        """How many runs ended, how long that took, and which failed; `not_run` more could not be run."""
        seconds = time.monotonic() - self.began
        self.say(f"{self.ended_runs} runs in {duration(seconds)}, {len(self.failures) + not_run} failed; results in {results}")
        for name, failure in self.failures:
            self.say(f"failed: {name}: {failure}")
        if self.failures:
            self.say(f"`latentbench show RUN --results {results}` prints all that is stored of a run, with the traceback of its failure")

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def _count(self, job: Job, outcome: str, aloud: bool) -> None:
        self.ended_runs += 1
        if self.total is not None:
            if job.run.id in self.tasks:
                self.bars.remove_task(self.tasks.pop(job.run.id))
            self.bars.advance(self.total)
        if self.total is None or aloud:
            self.say(f"[{self.ended_runs}/{self.expected}] {job.label}: {outcome}{self._left()}")

    def _left(self) -> str:
        left = self.expected - self.ended_runs
        spent = time.monotonic() - self.began
        return f", about {duration(spent / self.ended_runs * left)} left" if left else ""
