"""The door for authors of engines: what an engine is given, and how it has runs executed."""

from latentbench.engine import Engine
from latentbench.errors import UserError
from latentbench.execution.execute import InterruptedRunError, OtherCodeError, execute, traceback_of
from latentbench.execution.job import Job
from latentbench.execution.leases import LeaseLostError, Leases
from latentbench.execution.progress import Progress
from latentbench.execution.speeds import expected, memories
from latentbench.execution.work import Limits, Work
from latentbench.execution.worker import work_off
from latentbench.files import StoringError, cannot_store, storing
from latentbench.numbers import CountOrAuto, Duration, Numbers, parse_numbers
from latentbench.part import Options
from latentbench.registry import load_registry
from latentbench.results.store import Store
from latentbench.suites.launch import Launch, choose_engine

__all__ = [
    "CountOrAuto",
    "Duration",
    "Engine",
    "InterruptedRunError",
    "Job",
    "Launch",
    "LeaseLostError",
    "Leases",
    "Limits",
    "Numbers",
    "Options",
    "OtherCodeError",
    "Progress",
    "Store",
    "StoringError",
    "UserError",
    "Work",
    "cannot_store",
    "choose_engine",
    "execute",
    "expected",
    "load_registry",
    "memories",
    "parse_numbers",
    "storing",
    "traceback_of",
    "work_off",
]
