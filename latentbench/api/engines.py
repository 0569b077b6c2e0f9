"""The door for authors of engines: what an engine is given, and how it has runs executed."""

from latentbench.engine import Engine, Limits, Load, Wall, Watcher, Work
from latentbench.errors import UserError
from latentbench.execution.control import Control, InterruptedRunError
from latentbench.execution.execute import OtherCodeError, execute
from latentbench.execution.fork_server import ensure_fork_server
from latentbench.execution.job import Job
from latentbench.execution.leases import LeaseLostError, Leases
from latentbench.execution.progress import Progress
from latentbench.execution.worker import work_off
from latentbench.failure import Failure, FailureKind
from latentbench.files import StoringError, cannot_store, storing
from latentbench.numbers import CountOrAuto, Duration, Numbers, parse_numbers
from latentbench.part import Options
from latentbench.registry import load_registry
from latentbench.results.store import Store
from latentbench.suites.launch import Launch, choose_engine

__all__ = [
    "Control",
    "CountOrAuto",
    "Duration",
    "Engine",
    "Failure",
    "FailureKind",
    "InterruptedRunError",
    "Job",
    "Launch",
    "LeaseLostError",
    "Leases",
    "Limits",
    "Load",
    "Numbers",
    "Options",
    "OtherCodeError",
    "Progress",
    "Store",
    "StoringError",
    "UserError",
    "Wall",
    "Watcher",
    "Work",
    "cannot_store",
    "choose_engine",
    "ensure_fork_server",
    "execute",
    "load_registry",
    "parse_numbers",
    "storing",
    "work_off",
]
