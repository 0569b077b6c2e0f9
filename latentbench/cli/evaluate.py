"""The command that measures stored models: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli import completion
from latentbench.cli.options import DEFAULT_RESULTS, EngineFlags, LimitFlags, MeasureFlags, Only, Plugins, only_values, path


def evaluate(
    *,
    results: Annotated[Path, typer.Argument(metavar="RESULTS", parser=path, help="Results folder.")] = DEFAULT_RESULTS,
    evaluations: Annotated[
        list[str],
        typer.Option(
            "--evaluation", metavar="NAME(KEY=VALUE, ...)", autocompletion=completion.evaluation, help="What to measure, as in 'knn(readout=mean)'."
        ),
    ],
    only: Only = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be measured, and measure nothing.")] = False,
    engine: EngineFlags,
    selection: MeasureFlags,
    limits: LimitFlags,
    plugins: Plugins = None,
) -> None:
    """Measure stored models, of any suite, without training. What is measured already is left as it is."""
    from latentbench.measuring import measure_runs
    from latentbench.suites.evaluation_text import parse_evaluation

    asked = [parse_evaluation(text) for text in evaluations]
    chosen = only_values(only or [])
    failed = measure_runs(results, asked, engine.launch(), chosen, selection.selection(), limits.limits(), dry_run, plugins or ())
    raise typer.Exit(1 if failed else 0)
