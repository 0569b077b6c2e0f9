"""Commands of data sets' source files: data list, data fetch, data verify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from latentbench.data.dataset import DataSet

app = typer.Typer(help="Source files of data sets: list, fetch or verify them.", no_args_is_help=True)
Names = Annotated[list[str] | None, typer.Argument(metavar="[DATASET]...", help="Data sets (default: all).")]


@app.command("list")
def list_() -> None:
    """List data sets, and where their source files are."""
    from latentbench.data.fetch import listing
    from latentbench.reporting.text import table

    print(table(listing(_chosen([])), ("data set", "shape", "pixels", "labels", "options", "protocols", "source files")))


@app.command()
def fetch(datasets: Names = None) -> None:
    """Find or download the source files, check their hashes, and prepare the images."""
    from latentbench.data.fetch import prepare

    for dataset in _chosen(datasets or []):
        prepare([dataset()])
        print(f"{dataset.name}: ready")


@app.command()
def verify(datasets: Names = None) -> None:
    """Compare every source file that is there with its published hash. Downloads nothing."""
    from latentbench.data.fetch import verify as verify_files

    for name, outcome in verify_files(_chosen(datasets or []), complete=bool(datasets)):
        print(f"{name}: {outcome}")


def _chosen(names: Sequence[str]) -> list[type[DataSet]]:
    """The data sets with these names, or all."""
    from latentbench.registry import load_registry

    registry = load_registry()
    return [registry.dataset(name) for name in names or sorted(registry.parts["datasets"])]
