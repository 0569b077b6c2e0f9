"""Engines: where the runs of a suite are executed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from latentbench.part import Options, Registered

if TYPE_CHECKING:
    from latentbench.execution.work import Work


class Engine(Registered, ABC):
    """Has runs executed: in processes of this machine, as jobs of a cluster, as tasks of somebody's pool.

    The options are what a suite or a profile says in its `engine:` section, and what the flags `--gpus`, `--per-gpu` and `--cpus` say, where the
    engine has options of these names. An engine is no part of a run's identity: only its `device` is.

    There are two ways to write one. An engine that executes runs itself takes them from the work (`Work.take`), calls
    `latentbench.execution.execute.execute` wherever it likes, asks meanwhile whether they are still its own (`Work.keep`), and says how they ended
    (`Work.end`, `fail`, `put_back`, `give_up`), as `local` does.
    An engine that starts pilots elsewhere lets each call `latentbench.execution.worker.work_off`, or `latentbench worker`, which does queued runs of
    the results folder until none is left, and follows them from the folder (`Work.follow`), as `slurm` does.
    """

    default: ClassVar[bool] = False
    """Whether this is the engine where nobody names one; of all plugins, one has it."""
    goes_on: ClassVar[bool] = False
    """Whether runs go on when the process that called `run` ends."""

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
        """Look whether runs can be executed, before anything is planned or stored.

        Raises:
            UserError: a GPU, a program or a package is missing.
        """

    @abstractmethod
    def run(self, work: Work) -> None:
        """Have the work done; what is in `work.left` afterwards is not.

        Ctrl-C (KeyboardInterrupt), and SIGTERM, end it: runs of this process save their state first.
        """
