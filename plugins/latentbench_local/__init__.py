"""The local engine: one process a run, as many at a time as there is room for, out of a fork server that has torch imported."""

from latentbench import hookimpl
from latentbench.api.engines import Engine
from latentbench_local.local import LocalEngine


@hookimpl
def register_engines() -> list[type[Engine]]:
    """The engine `local`."""
    return [LocalEngine]
