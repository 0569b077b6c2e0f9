"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.options import DEFAULT_RESULTS, path


def report(
    results: Annotated[list[Path] | None, typer.Argument(metavar="[RESULTS]...", parser=path, help="Results folders (default: results).")] = None,
    suite: Annotated[
        Path | None, typer.Option("--suite", metavar="FILE", parser=path, help="Only the runs that this suite file asks for (YAML).")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", parser=path, help="The file to write.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option("--title", help="Title of the page.")] = None,
) -> None:
    """Write all that is known of results into one HTML file that needs no network: leaderboards, charts, pictures, failures, cost, provenance."""
    from latentbench.reporting.report import write_report
    from latentbench.reporting.text import size

    written = write_report(results or [DEFAULT_RESULTS], out, suite, title)
    print(f"{out.resolve()} ({size(written)}): open it in a browser")
