"""Commands of a suite: run, plan."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from latentbench.cli.options import (
    DEFAULT_RESULTS,
    ChangeFlags,
    EngineFlags,
    Format,
    LimitFlags,
    Plugins,
    Results,
    SelectionFlags,
    Style,
    SuitePath,
)
from latentbench.errors import UserError


def run(
    suite: SuitePath,
    *,
    results: Results = DEFAULT_RESULTS,
    changes: ChangeFlags,
    engine: EngineFlags,
    selection: SelectionFlags,
    limits: LimitFlags,
    plugins: Plugins = None,
) -> None:
    """Train and evaluate every run of a suite that is not done yet; end with its leaderboard."""
    from latentbench.runner import run_suite

    command = ("latentbench", *sys.argv[1:])
    failed = run_suite(suite, results, engine.launch(), changes.changes(), selection.selection(), limits.limits(), command, plugins or ())
    raise typer.Exit(1 if failed else 0)


def plan(
    suite: SuitePath,
    *,
    results: Results = DEFAULT_RESULTS,
    changes: ChangeFlags,
    engine: EngineFlags,
    why: Annotated[bool, typer.Option("--why", help="Say why runs are not done: code, versions, data or evaluations that have changed.")] = False,
    time: Annotated[
        bool, typer.Option("--time", help="Measure a few steps of every kind of run on this machine, and say what the suite will take.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="With --time: measure what was measured before, too.")] = False,
    format_: Format = Style.text,
    plugins: Plugins = None,
) -> None:
    """Print every run of a suite with its id, its state and the expected cost. Trains nothing."""
    from latentbench.reporting.plans import plan_json, plan_text
    from latentbench.runner import costed, planned

    if fresh and not time:
        raise UserError("--fresh is for --time")
    made, chosen, snapshot, registry = planned(suite, results, engine.launch(), changes.changes(), plugins or ())
    costs = costed(made, chosen, registry, plugins or (), fresh) if time else None
    print(plan_json(made, snapshot, costs) if format_ is Style.json else plan_text(made, snapshot, why, costs))
