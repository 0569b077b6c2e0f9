"""The Slurm engine, through submitit.

Each element of a job array is a pilot: it takes queued runs of the shared results folder by their leases and executes them on what Slurm gave it,
until none is left. A pilot that Slurm requeues, before its time limit, after preemption or when its node was lost, continues; its runs resume from
their saved states. The outcome of a run is learnt from the results folder; Slurm is asked only whether pilots are left.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn, Self

from pydantic import Field, model_validator

from latentbench.api.engines import (
    CountOrAuto,
    Duration,
    Engine,
    Launch,
    Limits,
    Options,
    Progress,
    UserError,
    Work,
    choose_engine,
    load_registry,
    work_off,
)

ENDLESSLY = 1_000_000
"""How often submitit may requeue a pilot at its time limit."""
SIGNAL_EARLY = 60.0
"""Seconds by which Slurm may send its signal too early (sbatch --signal)."""
ASK_WITHIN = 60.0
"""Seconds that squeue has to answer."""


class SlurmOptions(Options):
    """What every pilot asks of Slurm, and how many there are."""

    array: int = Field(1, ge=1, description="Pilots: elements of the job array.")
    time: Duration = Field(Duration.parse("4h"), description="Time limit of a pilot, as in 30m or 12h; it saves its runs before, and is requeued.")
    signal_before: Duration = Field(Duration.parse("120s"), description="How long before its time limit a pilot saves its runs.")
    gpus: int = Field(0, ge=0, description="GPUs of a pilot; runs go to the CPU without.")
    per_gpu: CountOrAuto = Field(1, description="Runs at a time on each GPU; auto: as many as its memory holds.")
    cpus: int | None = Field(None, ge=1, description="Cores of a pilot; without GPUs, as many runs at a time (1). By default one for each run.")
    memory: str | None = Field(None, description="Memory of a pilot, as in 32G.")
    partition: str | None = Field(None, description="Partition.")
    account: str | None = Field(None, description="Account.")
    qos: str | None = Field(None, description="Quality of service.")
    constraint: str | None = Field(None, description="Features that nodes must have.")
    setup: list[str] = Field(default_factory=list, description="Shell commands before a pilot, as `module load cuda`.")
    sbatch: dict[str, Any] = Field(default_factory=dict, description="Further options of sbatch, by their long names.")
    wait: bool = Field(True, description="Follow the runs until they end; otherwise end when the pilots are submitted.")

    @model_validator(mode="after")
    def _leaves_time_to_work(self) -> Self:
        if self.time.seconds <= self.signal_before.seconds + SIGNAL_EARLY:
            raise ValueError(
                f"time {self.time} must be more than a minute longer than signal_before {self.signal_before}: Slurm may send it so early"
            )
        return self


class SlurmEngine(Engine):
    """Pilots in a Slurm job array; needs the extra `slurm`."""

    name = "slurm"
    detached = True
    options_model = SlurmOptions
    options: SlurmOptions

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """`cuda` where pilots have GPUs."""
        return "cuda" if self.options.gpus else "cpu"

    @property
    def capacity(self) -> str:
        """As in `by 16 pilots of 4 GPUs`."""
        size = f"{self.options.gpus} GPUs" if self.options.gpus else f"{self.options.cpus or 1} CPUs"
        return f"by {self.options.array} Slurm pilots of {size}"

    def check(self) -> None:
        """Check that submitit and Slurm's commands are there."""
        try:
            import submitit  # noqa: F401
        except ImportError as error:
            raise UserError(f"engine slurm needs submitit ({error}): pip install 'latentbench[slurm]'") from error
        missing = [program for program in ("sbatch", "srun", "squeue") if shutil.which(program) is None]
        if missing:
            raise UserError(f"engine slurm: this machine has no {', '.join(missing)}; submit from a node of the cluster that has Slurm's commands")

    def run(self, work: Work[Any]) -> None:
        """Submit the pilots; follow them unless the options say otherwise."""
        job = self._submit(work)
        if self.options.wait:
            work.follow(lambda: _is_queued(job))

    def _submit(self, work: Work[Any]) -> str:
        """The id of the job array."""
        from submitit import SlurmExecutor

        options = self.options
        runs_each = options.gpus * (options.per_gpu if options.per_gpu != "auto" else 4) or 1
        parameters: dict[str, Any] = {
            "job_name": "latentbench",
            "time": math.ceil(options.time.seconds / 60),
            "signal_delay_s": math.ceil(options.signal_before.seconds),
            "cpus_per_task": options.cpus or runs_each,
            "gpus_per_node": options.gpus or None,
            "mem": options.memory,
            "partition": options.partition,
            "account": options.account,
            "qos": options.qos,
            "constraint": options.constraint,
            "setup": options.setup or None,
            "stderr_to_stdout": True,
            "additional_parameters": {"requeue": True, **options.sbatch},
        }
        executor = SlurmExecutor(work.results.resolve() / "slurm", max_num_timeout=ENDLESSLY)
        executor.update_parameters(**{key: value for key, value in parameters.items() if value is not None})
        pilot = Pilot(work.results.resolve(), options.gpus, options.per_gpu, options.cpus or 1, work.limits)
        pilots = min(options.array, len(work.left))
        try:
            jobs = executor.map_array(pilot, range(pilots))
        except (RuntimeError, subprocess.CalledProcessError) as error:  # submitit's own are RuntimeErrors
            raise UserError(f"sbatch refused the pilots: {' '.join(str(error).split())}") from error
        return str(jobs[0].job_id).partition("_")[0]


@dataclass
class Pilot:
    """What a job of the array does."""

    results: Path
    gpus: int
    per_gpu: CountOrAuto
    cpus: int
    limits: Limits

    def __call__(self, number: int) -> int:
        """Do queued runs until none is left; before the time limit, save them and be requeued."""
        flags: dict[str, Any] = {"cpus": self.cpus}
        if self.gpus:
            given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            flags = {"gpus": f"0-{len(given.split(',')) - 1}" if given else f"0-{self.gpus - 1}", "per_gpu": self.per_gpu}
        engine = choose_engine(Launch(flags=flags), None, load_registry())
        engine.check()
        at_the_limit = signal.signal(signal.SIGUSR2, _stop)
        try:
            with Progress() as progress:
                failed = work_off(self.results, engine, progress.watch, self.limits)
                progress.summary(self.results)
        except _TimeIsUpError:
            at_the_limit(signal.SIGUSR2, None)  # type: ignore[operator, misc]  # submitit's: it requeues this job, and exits
            raise
        return failed

    def checkpoint(self, number: int) -> Any:
        """What submitit starts again after the time limit: the same, as all that there is to know is in the results folder."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, number)


class _TimeIsUpError(KeyboardInterrupt):
    """Slurm has said that the time limit is near; runs are stopped as by Ctrl-C."""


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _TimeIsUpError


def _is_queued(job: str) -> bool:
    """Whether Slurm still has elements of the array, waiting or running; if it does not answer, they are taken to be there."""
    try:
        answer = subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True, timeout=ASK_WITHIN, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    if answer.returncode != 0:
        return "invalid job id" not in answer.stderr.lower()
    return bool(set(answer.stdout.split()) - {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"})
