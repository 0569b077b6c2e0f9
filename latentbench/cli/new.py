"""The command that writes a plugin package: new."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.options import path

KINDS = ("family", "estimator", "likelihood", "dataset", "network", "evaluation", "engine")
Kind = StrEnum("Kind", {kind: kind for kind in KINDS})  # type: ignore[misc]  # the same words as in the library, which needs torch


def new(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help=f"{', '.join(KINDS)}.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What suites will call the part: letters, digits, '_' and '-'.")],
    folder: Annotated[Path, typer.Option("--folder", metavar="FOLDER", parser=path, help="Where the package is written.")] = Path(),
) -> None:
    """Write a plugin package, latentbench-NAME: a working example of a kind of part with its test, a suite and CI, to be changed into your own."""
    from latentbench.scaffold.create import EXAMPLES, create

    package = create(str(kind), name, folder)
    module = f"latentbench_{name.replace('-', '_')}.py"
    print(f"{package}: {EXAMPLES[str(kind)].about}. Try it, then change {module} into your own:")
    print(f"  latentbench run {package / 'suite.yaml'} --plugin {package / module}")
    print(f"  pip install -e {package} && pytest {package}")
