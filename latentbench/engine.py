"""Engines: where the runs of a suite are executed, and what an engine is given for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from latentbench.failure import Failure
from latentbench.part import Options, Registered

SAVE_EVERY = 60.0
"""Seconds between two savings of a run's training state."""


@dataclass(frozen=True)
class Limits:
    """How an engine treats its runs: seconds that one may take, whether the first failure ends the suite, and seconds between savings of states."""

    seconds: float | None = None
    fail_fast: bool = False
    save_every: float = SAVE_EVERY

    def reached(self, failures: int) -> bool:
        """Whether this number of failures ends the suite."""
        return self.fail_fast and failures > 0


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Load:
    """What a run is expected to take of its place: seconds, and bytes of device memory (0 on the CPU)."""

    seconds: float
    memory: int = 0


@dataclass(frozen=True)
class Wall:
    """Seconds until many runs would be done: if those that share a device do not slow each other, and if sharing one gains nothing."""

    least: float
    most: float


class Identified(Protocol):
    """A run, as far as engines know it."""

    @property
    def id(self) -> str:
        """Its id."""


class Job(Protocol):
    """A run to be executed; `execute` takes it."""

    @property
    def run(self) -> Identified:
        """The run."""

    @property
    def label(self) -> str:
        """The run in words that no other run of its suite has."""


class Watcher(Protocol):
    """What is told how the runs go."""

    def started(self, job: Job, where: str) -> None:
        """A run began."""

    def progressed(self, job: Job, step: int, steps: int) -> None:
        """A run is at a step."""

    def ended(self, job: Job, failure: Failure | None) -> None:
        """A run is done, or failed."""

    def left(self, job: Job) -> None:
        """Another invocation has done the run."""


J = TypeVar("J", bound=Job)


class Work(Protocol[J]):
    """The runs that an engine executes, in a results folder that other processes may share.

    An engine acquires a run, renews its lease while it executes it, and says how that ended with exactly one of `finished`, `failed`, `retry` and
    `release`.
    """

    @property
    def results(self) -> Path:
        """The results folder."""

    @property
    def store(self) -> Any:
        """The results folder as `execute` takes it: a run is written only while its lease is this owner's."""

    @property
    def left(self) -> Sequence[J]:
        """The runs that are still to be acquired, in the order in which they should start."""

    @property
    def limits(self) -> Limits:
        """How the runs are treated."""

    @property
    def watcher(self) -> Watcher:
        """Is told by the engine of runs that start and progress, and by the work of those that end."""

    @property
    def owner(self) -> str:
        """What tells this invocation apart: processes that execute its runs write only while the leases are this owner's."""

    @property
    def wait(self) -> bool:
        """Whether runs that other processes work on are waited for."""

    def acquire(self, fits: Callable[[J], bool] = ...) -> J | None:
        """Lease the first run that fits and that no process works on; None where there is none at the moment."""

    def renew(self, job: J, progress: tuple[int, int, float] | None = None) -> bool:
        """Tell the progress of a run (step, steps, steps a second); costs nothing. False: another process has taken it over, whose results count."""

    def renew_all(self) -> None:
        """Renew every lease now, as after this process was stopped for a while."""

    def finished(self, job: J, failure: Failure | None) -> None:
        """The run has its row in the store, as after `execute`: it is done, or it failed."""

    def failed(self, job: J, failure: Failure, origin: Mapping[str, Any] | None = None) -> None:
        """Store the row of a run whose process could not; `origin` are the columns that `Control.began` was told."""

    def retry(self, job: J) -> None:
        """Start the run again, before others."""

    def release(self, job: J) -> None:
        """Give up a run that was stopped; its state is stored."""

    def stop(self) -> bool:
        """Whether a failure ends everything."""

    def has_state(self, job: J) -> bool:
        """Whether the run can be resumed."""

    def device_memory(self, job: J) -> int | None:
        """Bytes of its device's memory that the run is expected to reserve; None where nothing like it was run."""

    def follow(self, alive: Callable[[], bool]) -> None:
        """Tell the watcher what other processes do of these runs, until all are done, or none is `alive` or works on one."""


class Engine(Registered, ABC):
    """Has runs executed: in processes of this machine, as jobs of a cluster, as tasks of a pool.

    The options are what a suite or a profile says in its `engine:` section, and what the flags `--gpus`, `--per-gpu` and `--cpus` say, where the
    engine has options of these names. An engine is no part of a run's identity: only its `device` is.

    There are two ways to write one. An engine that executes runs itself acquires them from the work (`Work.acquire`), calls `execute` wherever it
    likes, asks meanwhile whether they are still its own (`Work.renew`), and says how they ended (`Work.finished`, `failed`, `retry`, `release`), as
    `local` does.
    An engine that starts pilots elsewhere lets each call `work_off`, or `latentbench worker`, which does queued runs of the results folder until none
    is left, and follows them from the folder (`Work.follow`), as `slurm` does.
    """

    default: ClassVar[bool] = False
    """Whether this is the engine where none is named; of all plugins, one has it."""
    detached: ClassVar[bool] = False
    """Whether runs outlive the process that called `run`."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    @abstractmethod
    def device(self) -> Literal["cpu", "cuda"]:
        """What runs are executed on."""

    @property
    @abstractmethod
    def capacity(self) -> str:
        """How many runs at a time and where, in a few words."""

    def check(self) -> None:
        """Check that runs can be executed, before anything is planned or stored.

        Raises:
            UserError: a GPU, a program or a package is missing.
        """

    def wall(self, loads: Sequence[Load], capacity: int | None) -> Wall | None:
        """When runs of these loads, started in this order, would all be done; None where the engine cannot tell. `latentbench plan --time` asks.

        Args:
            loads: of the runs.
            capacity: bytes of memory of each GPU; None on the CPU.
        """
        return None

    @abstractmethod
    def run(self, work: Work[Any]) -> None:
        """Have the work done; what is in `work.left` afterwards is not.

        Ctrl-C (KeyboardInterrupt), and SIGTERM, end it: runs of this process save their state first.
        """
