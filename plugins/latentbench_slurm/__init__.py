"""The Slurm engine: an array of pilots, each a job that takes queued runs of the shared results folder until none is left."""

from latentbench import hookimpl
from latentbench.api.engines import Engine
from latentbench_slurm.slurm import SlurmEngine


@hookimpl
def register_engines() -> list[type[Engine]]:
    """The engine `slurm`."""
    return [SlurmEngine]
