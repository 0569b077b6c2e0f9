"""Commands of results folders: list, show, compare, status, merge, compact, prune."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.options import DEFAULT_RESULTS, Format, Only, QueryFlags, Results, StatisticsFlags, Style, only_values, path
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
    figures = "figures"
    studies = "studies"
    metrics = "metrics"
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
    results: Annotated[
        Path | None,
        typer.Option("--results", metavar="FOLDER", parser=path, help="Results folder of `runs`; of `metrics`: list those that it has."),
    ] = None,
    only: Only = None,
    failed: Annotated[bool, typer.Option("--failed", help="Of `runs`: only those that failed.")] = False,
) -> None:
    """List what plugins provide, and plugins that could not be loaded; metrics and what they mean; or the stored runs."""
    if kind is not Listed.runs and (only or failed):
        raise UserError(f"{'--only' if only else '--failed'} is for `latentbench list runs`")
    if kind is Listed.runs:
        from latentbench.reporting.runs import runs_text

        print(runs_text(results or DEFAULT_RESULTS, only_values(only or []), failed))
    elif kind is Listed.metrics:
        from latentbench.reporting.metrics import metrics_text
        from latentbench.reporting.text import width

        print(metrics_text(results, width()))
    elif results is not None:
        raise UserError("--results is for `latentbench list runs` and `latentbench list metrics`")
    elif kind in (Listed.figures, Listed.studies):
        from latentbench.reporting.extensions import listed

        print(listed(kind.value))
    else:
        from latentbench.reporting.parts import parts_text

        print(parts_text(kind.value if kind else None))


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or the beginning of it.")],
    results: Results = DEFAULT_RESULTS,
    full: Annotated[bool, typer.Option("--full", help="Show versions, hashes of sources, hardware and how it was measured, too.")] = False,
    format_: Format = Style.text,
) -> None:
    """Print what is stored of one run: outcome, metrics, settings; all of it as JSON."""
    from latentbench.reporting.shown import run_json, run_text, shown
    from latentbench.reporting.text import width

    found = shown(results, run)
    print(run_json(found) if format_ is Style.json else run_text(found, full, width()))


def compare(
    *,
    results: Annotated[list[Path] | None, typer.Argument(metavar="[RESULTS]...", parser=path, help="Results folders (default: results).")] = None,
    suite: Annotated[
        Path | None, typer.Option("--suite", metavar="FILE", parser=path, help="Only this suite's runs and evaluations, as its leaderboard says.")
    ] = None,
    query: QueryFlags,
    statistics: StatisticsFlags,
    format_: Annotated[str, typer.Option("--format", help="terminal, github, latex, csv, json or html.")] = "terminal",
    details: Annotated[bool, typer.Option("--details", help="Add every row's difference from the best row, or from the baseline.")] = False,
) -> None:
    """Print a leaderboard: mean and interval over seeds, best first, and which rows can be told apart."""
    from latentbench.reporting import compare as compare_folders
    from latentbench.reporting.asked import asked
    from latentbench.reporting.rendering import render

    folders = results or [DEFAULT_RESULTS]
    of_suite = None if suite is None else asked(suite, folders)
    board = None if of_suite is None else of_suite.leaderboard
    wanted, others = query.query(board)
    print(render(compare_folders(folders, wanted, statistics.statistics(board), others, of_suite), format_, details=details, colour=None))


def status(results: Results = DEFAULT_RESULTS, format_: Format = Style.text) -> None:
    """Print how many runs of a results folder ended and how, which are queued, and which are running, where and with what progress."""
    from latentbench.reporting.status import status as read_status
    from latentbench.reporting.status import status_json, status_text

    print((status_json if format_ is Style.json else status_text)(results, read_status(results)))


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
