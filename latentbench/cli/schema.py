"""The command `schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from latentbench.cli.options import path


def schema(
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", parser=path, help="The file to write (default: print it).")] = None,
) -> None:
    """Print the JSON Schema of suite files, with every installed plugin's parts and options, by which editors complete and check them."""
    from latentbench.files import storing
    from latentbench.registry import load_registry
    from latentbench.suites.schema import suite_schema

    text = json.dumps(suite_schema(load_registry()), indent=1, ensure_ascii=False)
    if out is None:
        print(text)
    else:
        with storing(out):
            out.write_text(f"{text}\n", encoding="utf-8")
