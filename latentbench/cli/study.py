"""The command that measures what needs no trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.figure import option_values
from latentbench.cli.options import DEFAULT_RESULTS, Results


def study(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study, as relaxation_quality.")],
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An option of the study; lists as KEY=VALUE,VALUE or [VALUE].")
    ] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Measure what needs no trained model, and store it among the summaries of a results folder, in place of what it stored there before.

    Interrupted, the same command continues it.
    """
    from latentbench.execution.cost.progress import Measuring
    from latentbench.reporting.studies import run_study, study_kind

    options = option_values(option or [], study_kind(name).options_model)
    with Measuring("piece") as measuring:
        count = run_study(name, options, Path(results), measuring.tell)
    print(f"{count} values of {name} in {results}")
