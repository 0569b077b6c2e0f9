"""Commands of a suite: run, plan."""

from __future__ import annotations

import typer

from latentbench.cli.options import DEFAULT_RESULTS, ChangeFlags, EngineFlags, LimitFlags, Results, SelectionFlags, SuitePath


def run(
    suite: SuitePath,
    *,
    results: Results = DEFAULT_RESULTS,
    changes: ChangeFlags,
    engine: EngineFlags,
    selection: SelectionFlags,
    limits: LimitFlags,
) -> None:
    """Train and evaluate every run of a suite that is not done yet; end with its leaderboard."""
    from latentbench.runner import run_suite

    failed = run_suite(suite, results, engine.launch(), changes.changes(), selection.selection(), limits.limits())
    raise typer.Exit(1 if failed else 0)


def plan(suite: SuitePath, *, results: Results = DEFAULT_RESULTS, changes: ChangeFlags, engine: EngineFlags) -> None:
    """Print every run of a suite with its id, its state and the expected cost. Trains nothing."""
    from latentbench.reporting.plans import plan_text
    from latentbench.runner import planned

    made, _, snapshot = planned(suite, results, engine.launch(), changes.changes())
    print(plan_text(made, snapshot))
