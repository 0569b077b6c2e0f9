"""Progress of a suite: a bar with the time left on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from latentbench.engine import describe
from latentbench.execute import Job
from latentbench.plan import Plan, Unplanned


class Progress:
    """Told by the engine how the runs go; tells the user."""

    def __init__(self, plan: Plan, jobs: Sequence[Job], slots: int) -> None:
        self.plan, self.jobs, self.slots = plan, jobs, slots
        self.console = Console(highlight=False)
        self.failures: list[tuple[str, str]] = []
        self.ended_runs = 0
        self.steps: dict[str, tuple[int, int]] = {}
        self.began = time.monotonic()
        self.bars = Bars(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=self.console
        )
        self.total: TaskID | None = None
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        skipped = len(self.plan.runs) - len(self.jobs)
        text = f"suite {self.plan.name}: {len(self.plan.runs)} runs, {skipped} not run again, {len(self.jobs)} to run, {self.slots} at a time"
        self._say(text)
        for reason, items in _by_reason(self.plan.inapplicable).items():
            self._say(f"left out: {len(items)} combinations: {reason}")
        for item in self.plan.blocked:
            self._say(f"cannot run {item.settings.get('family')} on {item.settings.get('dataset')}: {item.reason}")
        if self.console.is_terminal and self.jobs:
            self.bars.start()
            self.total = self.bars.add_task("all runs", total=len(self.jobs))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.total is not None:
            self.bars.stop()
        if kind is KeyboardInterrupt:
            self._say(
                f"interrupted: {self.ended_runs} of {len(self.jobs)} runs ended and are stored, the others' states too; the same command goes on"
            )

    def started(self, job: Job, device: str) -> None:
        """Add the run's bar; a run that is tried again has one."""
        if self.total is not None and job.run.id not in self.tasks:
            self.tasks[job.run.id] = self.bars.add_task(f"  {describe(job.run)}", total=None)

    def progressed(self, job: Job, step: int, steps: int) -> None:
        """Move the run's bar."""
        self.steps[job.run.id] = (step, steps)
        if job.run.id in self.tasks:
            self.bars.update(self.tasks[job.run.id], completed=step, total=steps)

    def ended(self, job: Job, failure: str | None) -> None:
        """Count the run, and print its line where there is no terminal."""
        self.ended_runs += 1
        if failure:
            self.failures.append((f"{describe(job.run)} ({job.run.id})", failure))
        if self.total is not None:
            self.bars.remove_task(self.tasks.pop(job.run.id))
            self.bars.advance(self.total)
        self.steps.pop(job.run.id, None)
        outcome = f"FAILED {failure}" if failure else "done"
        if self.total is None or failure:
            self._say(f"[{self.ended_runs}/{len(self.jobs)}] {describe(job.run)}: {outcome}{self._left()}")

    def left(self, job: Job) -> None:
        """Count a run that another invocation has done."""
        self.ended_runs += 1
        if self.total is not None:
            self.bars.advance(self.total)
        else:
            self._say(f"[{self.ended_runs}/{len(self.jobs)}] {describe(job.run)}: done by another invocation{self._left()}")

    def summary(self, results: Path) -> None:
        """What ran, how long it took, and which runs failed."""
        seconds = time.monotonic() - self.began
        already = [item for item in self.plan.runs if item.state == "failed" and item.run.id not in {job.run.id for job in self.jobs}]
        stale = sum(item.state == "stale" for item in self.plan.runs)
        self._say(f"{self.ended_runs} runs in {_duration(seconds)}, {len(self.failures) + len(self.plan.blocked)} failed; results in {results}")
        for name, failure in self.failures:
            self._say(f"failed: {name}: {failure}")
        if already:
            self._say(f"{len(already)} runs failed before and were not tried again; --retry all does")
        if stale:
            self._say(f"{stale} stored runs are stale: the source of a plugin has changed since; --refresh stale runs them again")

    def _left(self) -> str:
        left = len(self.jobs) - self.ended_runs
        spent = time.monotonic() - self.began
        return f", about {_duration(spent / self.ended_runs * left)} left" if left else ""

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)


def _by_reason(items: Sequence[Unplanned]) -> dict[str, list[Unplanned]]:
    grouped: dict[str, list[Unplanned]] = {}
    for item in items:
        grouped.setdefault(item.reason, []).append(item)
    return grouped


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
