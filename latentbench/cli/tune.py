"""The command that tunes the models of a suite."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.options import DEFAULT_RESULTS, ChangeFlags, EngineFlags, LimitFlags, Plugins, Results, SelectionFlags, SuitePath, path


def tune(
    suite: SuitePath,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="TUNED.yaml", parser=path, help="The tuned suite to write.")],
    results: Results = DEFAULT_RESULTS,
    trials: Annotated[int | None, typer.Option("--trials", metavar="N", min=1, help="Trials of every model (default: as the suite says).")] = None,
    changes: ChangeFlags,
    engine: EngineFlags,
    selection: SelectionFlags,
    limits: LimitFlags,
    plugins: Plugins = None,
) -> None:
    """Search settings for every model of a suite with the same number of trials, as its section `tune` says, and write the suite with the best ones.

    Interrupted, the same command continues it. Of flags that change the trials, the tuned suite has none; `--seeds` are those of tuning.
    """
    from latentbench.tuning import tune as tuned
    from latentbench.tuning.summary import summary_table

    command = ("latentbench", *sys.argv[1:])
    how = (engine.launch(), changes.changes(), selection.selection(), limits.limits())
    found = tuned(suite, out, results, *how, command, plugins or (), trials)
    if found.left:
        print(f"{found.left} runs of this round are not done, so {out} is not written; the same command continues")
        raise typer.Exit(1)
    print(
        f"\n{summary_table(found.models)}\n\n{out} has the best settings of each model; `latentbench run {out}` trains them on the suite's own seeds"
    )
    for one in found.failed:
        print(f"every trial of {one.model} failed: its settings are as they were")
    raise typer.Exit(1 if found.failed else 0)
