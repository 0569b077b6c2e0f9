"""The command that gives every model of a suite the same training time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.options import DEFAULT_RESULTS, EngineFlags, Plugins, Results, SuitePath, path


def budget(
    suite: SuitePath,
    *,
    seconds: Annotated[float, typer.Option("--seconds", metavar="SECONDS", min=1e-3, help="Training time of every run, of the device.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.yaml", parser=path, help="The suite at equal seconds to write.")],
    results: Results = DEFAULT_RESULTS,
    engine: EngineFlags,
    plugins: Plugins = None,
) -> None:
    """Write a suite in which every model trains for the same time, at the pace of its stored runs.

    Models are the cells of the suite's leaderboard.
    """
    from latentbench.tuning import budget as budgeted
    from latentbench.tuning.budget_summary import budget_table

    found = budgeted(suite, out, results, seconds, engine.launch(), ("latentbench", *sys.argv[1:]), plugins or ())
    print(f"{budget_table(found)}\n\n{out} trains each of them for {seconds:g} s; `latentbench run {out}` runs it")
