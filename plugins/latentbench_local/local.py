"""The local engine: its options, and how many runs at a time there is room for."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field

from latentbench.api.engines import CountOrAuto, Engine, Load, Numbers, Options, UserError, Wall, Work, parse_numbers
from latentbench_local.packing import Packing
from latentbench_local.pool import Pool
from latentbench_local.schedule import makespan

FILES, FILES_A_RUN = 64, 8
"""Files that a process of this engine has open at least, and those for each run at a time."""


class LocalOptions(Options):
    """Where runs are executed on this machine."""

    gpus: Numbers | None = Field(None, description="Numbers of GPUs, as in 0-7 or 0,2; none, the default: runs go to the CPU.")
    per_gpu: CountOrAuto = Field(1, description="Runs at a time on each GPU; auto: as many as its memory holds.")
    cpus: int | None = Field(None, ge=1, description="Runs at a time on the CPU, one thread each; one a core by default.")


class LocalEngine(Engine):
    """Processes of this machine, one a run; the default."""

    name = "local"
    default = True
    options_model = LocalOptions
    options: LocalOptions

    def __init__(self, options: LocalOptions) -> None:
        super().__init__(options)
        self.gpus = None if options.gpus in (None, "none") else parse_numbers(str(options.gpus))
        if self.gpus is not None and options.cpus is not None:
            raise UserError("gpus and cpus: choose one of them; `gpus: none` or --gpus none takes back the other's")

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """`cuda` where GPUs were asked for."""
        return "cpu" if self.gpus is None else "cuda"

    @property
    def capacity(self) -> str:
        """As in `2 at a time`."""
        if self.gpus is None:
            return f"{self._cpus()} at a time"
        each = "as many as fit" if self.options.per_gpu == "auto" else str(self.options.per_gpu)
        return f"{each} at a time on each of {len(self.gpus)} GPUs"

    def check(self) -> None:
        """Check that the GPUs are there, and that enough files may be open. CUDA is not initialised: a fork could not use it any more."""
        self._check_files()
        count = torch.cuda.device_count()
        if any(gpu >= count for gpu in self.gpus or ()):
            has = f"GPUs 0 to {count - 1}" if count > 1 else "GPU 0 only" if count else "no CUDA GPU"
            raise UserError(f"--gpus {self.options.gpus}: not on this machine, which has {has}")

    def run(self, work: Work[Any]) -> None:
        """Run all jobs, or wait until other processes have; a second Ctrl-C kills those that are saving their state."""
        Pool(work, self._places()).run()

    def wall(self, loads: Sequence[Load], capacity: int | None) -> Wall:
        """By the places that `run` would fill, in the order in which it would; cores are taken not to slow each other."""
        least = makespan(self._places(), loads, capacity)
        return Wall(least, least if self.gpus is None else makespan(Packing(self._devices(), 1), loads, capacity))

    def _places(self) -> Packing:
        share = self._cpus() if self.gpus is None else self.options.per_gpu
        return Packing(self._devices(), None if share == "auto" else share)

    def _devices(self) -> list[str]:
        return ["cpu"] if self.gpus is None else [f"cuda:{gpu}" for gpu in self.gpus]

    def _check_files(self) -> None:
        each = 4 if self.options.per_gpu == "auto" else self.options.per_gpu
        needed = FILES + FILES_A_RUN * (self._cpus() if self.gpus is None else len(self.gpus) * each)
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if allowed not in (resource.RLIM_INFINITY, -1) and allowed < needed:
            raise UserError(
                f"a process may have {allowed} files open here, and running {self.capacity} needs {needed}: raise the limit with ulimit -n"
            )

    def _cpus(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.options.cpus or cores or 1
