"""Commands of results folders: list, show, compare, status, merge, compact, prune."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.options import DEFAULT_RESULTS, Only, QueryFlags, Results, only_values, path
from latentbench.errors import UserError


class Listed(StrEnum):
    """What `list` can list."""

    families = "families"
    estimators = "estimators"
    likelihoods = "likelihoods"
    networks = "networks"
    datasets = "datasets"
    evaluations = "evaluations"
    engines = "engines"
    runs = "runs"


class Freed(StrEnum):
    """What `prune` can remove."""

    checkpoints = "checkpoints"
    kept = "kept"
    arrays = "arrays"
    pictures = "pictures"
    states = "states"


def list_(
    kind: Annotated[Listed | None, typer.Argument(help="What to list; everything that plugins provide, if left out.")] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """List what plugins provide, and plugins that could not be loaded; or the stored runs."""
    if kind is Listed.runs:
        from latentbench.reporting.runs import runs_text

        print(runs_text(results))
    else:
        from latentbench.reporting.parts import parts_text

        print(parts_text(kind.value if kind else None))


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or the beginning of it.")], results: Results = DEFAULT_RESULTS
) -> None:
    """Print all that is stored of one run: settings, outcome, metrics, provenance."""
    from latentbench.reporting.runs import run_text

    print(run_text(results, run))


def compare(
    *,
    results: Annotated[list[Path] | None, typer.Argument(metavar="[RESULTS]...", parser=path, help="Results folders (default: results).")] = None,
    query: QueryFlags,
    format_: Annotated[str, typer.Option("--format", help="A format of tabulate (simple, github, latex_booktabs, ...), or csv.")] = "simple",
) -> None:
    """Print a leaderboard: mean and 99 % interval over seeds of one metric, best first."""
    from latentbench.reporting import compare as compare_folders
    from latentbench.reporting.rendering import render

    print(render(compare_folders(results or [DEFAULT_RESULTS], query.query()), format_))


def status(results: Results = DEFAULT_RESULTS) -> None:
    """Print how many runs of a results folder ended and how, which are queued, and which are running, where and with what progress."""
    from latentbench.reporting.status import status as read_status
    from latentbench.reporting.status import status_text

    print(status_text(results, read_status(results)))


def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="RESULTS...", parser=path, help="Results folders.")],
    into: Annotated[Path, typer.Option("--into", metavar="FOLDER", parser=path, help="A folder without results.")],
    tolerance: Annotated[float, typer.Option("--tolerance", help="Relative difference up to which metrics of one run agree.")] = 0.01,
) -> None:
    """Join results folders of several machines by run id; runs of one id whose results differ are left out and named."""
    from latentbench.results.merge import merge as merge_folders

    if not 0 <= tolerance < float("inf"):
        raise UserError("expected a number of at least 0", where=f"--tolerance {tolerance:g}")
    merged = merge_folders(sources, into, tolerance)
    print(f"{merged.runs} runs in {into}, {merged.shared} of them from several folders; {len(merged.conflicts)} conflicts")
    for run_id, why in merged.conflicts.items():
        print(f"conflict: run {run_id} was left out: {why}")
    for problem, taken in merged.damaged.items():
        print(f"damaged: {problem}: {f'{taken} was taken' if taken else 'no folder has a whole one'}")
    raise typer.Exit(1 if merged.conflicts or None in merged.damaged.values() else 0)


def compact(results: Results = DEFAULT_RESULTS) -> None:
    """Join the fragments of a results folder into few files, which are faster to read. No run starts there meanwhile."""
    from latentbench.execution.compaction import compact as compact_folder

    print(f"{compact_folder(results)} files fewer in {results}")


def prune(
    freed: Annotated[list[Freed], typer.Argument(metavar="KIND...", help="checkpoints, kept (those of keep_checkpoints), arrays, pictures, states.")],
    results: Results = DEFAULT_RESULTS,
    only: Only = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and remove nothing.")] = False,
) -> None:
    """Remove stored files of runs to free disk space; their rows and metrics stay."""
    from latentbench.execution.prune import prune as prune_folder
    from latentbench.reporting.text import size

    pruned = prune_folder(results, [kind.value for kind in freed], only_values(only or []), dry_run)
    print(f"{'would free' if dry_run else 'freed'} {size(pruned.bytes)}: {pruned.files} files of {pruned.runs} runs in {results}")
    if pruned.busy:
        print(f"skipped {len(pruned.busy)} runs that are being worked on")
