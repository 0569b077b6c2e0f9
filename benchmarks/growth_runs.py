"""How planning, opening a results folder, comparing and reporting grow with the number of runs, whose numbers are made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.curves import Curves, point
from latentbench.reporting import compare
from latentbench.reporting.query import Query
from latentbench.reporting.report import write_report
from latentbench.results.snapshot import Snapshot
from latentbench.results.store import Store
from latentbench.runner import planned
from latentbench.suites.expand import Changes
from latentbench.suites.launch import Launch
from tests.made import make

SUITE = Path(__file__).parents[1] / "suites" / "quick.yaml"
SEEDS = (4, 12, 40, 120, 400)
"""Seeds of the suite's 26 models."""
LARGEST = {"report": 2000}
"""The largest number of runs that is reported: twice what a report is made for."""


def panels() -> dict[str, Curves]:
    """Time and memory over stored runs: planning with their states, opening, comparing all, and a report of all."""
    found: Curves = {name: [] for name in ("plan", "open", "compare", "report")}
    with TemporaryDirectory() as folder:
        for seeds in SEEDS:
            made = make(SUITE, Path(folder) / str(seeds), seeds=range(1, seeds + 1), arrays=False)
            runs = len(made.plan.runs)
            for name, work in _works(made.folder, seeds).items():
                if runs <= LARGEST.get(name, runs):
                    found[name].append(point(runs, work, 1))
    return {"stored runs": found}


def _works(folder: Path, seeds: int) -> dict[str, Callable[[], object]]:
    changes, query = Changes(seeds=list(range(1, seeds + 1))), Query("nelbo", ("family", "estimator"), ("dataset",), "validation")
    return {
        "plan": lambda: planned(SUITE, folder, Launch(), changes),
        "open": lambda: Snapshot.read(Store(folder)),
        "compare": lambda: compare([folder], query),
        "report": lambda: write_report([folder], folder.with_suffix(".html")),
    }
