"""Commands of a results folder's queue: worker, cancel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.options import DEFAULT_RESULTS, EngineFlags, LimitFlags, Results, path


def worker(
    *,
    results: Annotated[Path, typer.Argument(metavar="RESULTS", parser=path, help="Results folder.")] = DEFAULT_RESULTS,
    engine: EngineFlags,
    limits: LimitFlags,
) -> None:
    """Execute on this machine the runs that other invocations have queued in a results folder, until none is left."""
    from latentbench.runner import run_queued

    raise typer.Exit(1 if run_queued(results, engine.launch(), limits.limits()) else 0)


def cancel(results: Results = DEFAULT_RESULTS) -> None:
    """Empty the queue of a results folder. Running runs continue; no other starts."""
    from latentbench.execution.queue import cancel as empty_queue

    cancelled = empty_queue(results)
    print(f"{results}: {cancelled.taken_back} runs taken back, {cancelled.continuing} that are being worked on continue")
