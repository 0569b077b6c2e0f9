"""`latentbench verify`: published values against stored runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.options import DEFAULT_RESULTS, SuitePath, path


class Format(StrEnum):
    """How verdicts are written."""

    terminal = "terminal"
    github = "github"
    csv = "csv"
    json = "json"


def verify(
    suite: SuitePath,
    results: Annotated[
        list[Path] | None,
        typer.Option("--results", metavar="FOLDER", parser=path, help="Results folder; of several, the first that has a run counts."),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How verdicts are written.")] = Format.terminal,
) -> None:
    """Compare stored runs with the published tables that a suite expects; exit code 1 where something is different or inconsistent."""
    from latentbench.reporting.verify import verify as verify_suite
    from latentbench.reporting.verify_text import verification_text

    verification = verify_suite(suite, results or [DEFAULT_RESULTS])
    print(verification_text(verification, format_.value))
    raise typer.Exit(1 if verification.failed else 0)
