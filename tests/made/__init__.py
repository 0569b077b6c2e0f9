"""Results of a whole suite that nothing was trained for: true runs, evaluations, tables and arrays, with random numbers.

    python -m tests.made suites/paper.yaml FOLDER [--failed .01] [--seed 0] [--seeds 1 2]

Ids, settings, options, declarations and formats are those that execution stores; the numbers are drawn, reproducibly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentbench.failure import Failure
from latentbench.registry import Registry, load_registry
from latentbench.results.asked import Asked
from latentbench.results.store import Store
from latentbench.suites.plan import Changes, Plan, make_plan
from latentbench.suites.suite import load_suite
from tests.made.arrays import write_arrays, write_draws
from tests.made.numbers import Numbers
from tests.made.rows import Rows, write_tables

FAILURES = (
    Failure("non-finite", "reconstruction was not finite between steps 51 and 100"),
    Failure("error", "ValueError: <b>no</b>", 'Traceback (most recent call last):\n  File "plugin.py", line 1\nValueError: <b>no</b>'),
    Failure("out-of-memory", "OutOfMemoryError: CUDA out of memory"),
    Failure("timeout", "the time limit of 12 h was over at step 1000"),
    Failure("killed", "the process was killed by signal 9"),
    Failure("evaluation", ""),
)
"""What failed runs have failed for, in turn; the last was trained, and lacks its last evaluation."""


@dataclass(frozen=True)
class Made:
    """What was made: the plan, and the runs that have failed, with the kind of their failure."""

    folder: Path
    plan: Plan
    failed: dict[str, str]


def make(
    suite: Path,
    folder: Path,
    *,
    failed: float = 0.0,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
    arrays: bool = True,
    other_code: bool = False,
    recorded: Sequence[Path] = (),
    registry: Registry | None = None,
) -> Made:
    """Fill a results folder with every run of a suite, as one compact file a table.

    Args:
        suite: the suite file.
        folder: where to; it must not have compact files.
        failed: the share of runs that have failed.
        seed: of the numbers.
        seeds: of the runs; the suite's by default.
        arrays: whether runs of the first seed get arrays and pictures, and all runs the draws of knn.
        other_code: whether the hashes of the sources are those of other code, which makes every run stale.
        recorded: other suites that the folder records as having been run there, beside this one.
        registry: the plugins; loaded by default.
    """
    registry = registry or load_registry()
    changes = Changes(seeds=None if seeds is None else list(seeds))
    plan = make_plan(load_suite(suite), registry, "cpu", changes)
    broken = _failures(plan, failed, seed)
    numbers = Numbers(seed)
    write_tables(folder, plan, broken, Rows(numbers, registry, other_code))
    for path in (suite, *recorded):
        whole = plan if path == suite else make_plan(load_suite(path), registry, "cpu", changes)
        Asked.of(whole, ("latentbench", "run", str(path))).write(Store(folder))
    if arrays:
        first = min(item.run.seed for item in plan.runs)
        write_draws(Store(folder), seed)
        write_arrays(Store(folder), [item for item in plan.runs if item.run.seed == first and item.run.id not in broken], seed)
    return Made(folder, plan, {run_id: failure.kind for run_id, failure in broken.items()})


def _failures(plan: Plan, share: float, seed: int) -> dict[str, Failure]:
    """Which runs have failed, and for what."""
    chosen = np.random.default_rng([seed, 1]).choice(len(plan.runs), round(share * len(plan.runs)), replace=False)
    found = {}
    for turn, place in enumerate(sorted(chosen.tolist())):
        failure, item = FAILURES[turn % len(FAILURES)], plan.runs[place]
        if failure.kind == "evaluation":
            failure = Failure("evaluation", f"evaluation {item.evaluations[-1]}: r2 on validation is nan")
        found[item.run.id] = failure
    return found
