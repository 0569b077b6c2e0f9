"""The command that draws figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from latentbench.cli.options import DEFAULT_RESULTS, Only, only_values, path
from latentbench.errors import UserError, shortened


def figure(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The figure; `latentbench list figures` has their names.")],
    results: Annotated[
        list[Path] | None, typer.Option("--results", metavar="FOLDER", parser=path, help="Results folder; several may be given (default: results).")
    ] = None,
    published: Annotated[
        list[Path] | None,
        typer.Option("--published", metavar="FOLDER", parser=path, help="Published results (default: results/published, here or in a folder above)."),
    ] = None,
    suite: Annotated[Path | None, typer.Option("--suite", metavar="FILE", parser=path, help="Only what this suite asks for.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An option of the figure; lists as KEY=VALUE,VALUE or [VALUE].")
    ] = None,
    evaluation: Annotated[
        list[str] | None,
        typer.Option("--evaluation", metavar="EVALUATION", help="Where several measured a metric: an id, or as in 'active_units(rule=paper)'."),
    ] = None,
    only: Only = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", parser=path, help="PDF, PNG or SVG, by its suffix (default: NAME.pdf).")
    ] = None,
) -> None:
    """Draw a figure of stored results, with published ones beside them where there are some."""
    from latentbench.reporting.asked import asked
    from latentbench.reporting.canvas import Canvas
    from latentbench.reporting.figures import draw_to_file, figure_named, published_folder

    stores = results or [DEFAULT_RESULTS]
    options = option_values(option or [], figure_named(name, {}).options_model)
    found = published_folder(Path.cwd())
    theirs = published or [place for place in (found,) if place is not None]
    canvas = Canvas(stores, theirs, only_values(only or []), asked(suite, stores) if suite else None, evaluation or [])
    drawn = draw_to_file(name, canvas, out or Path(f"{name}.pdf"), options)
    print(drawn.text)
    for line in drawn.missing:
        print(f"missing: {line}", file=sys.stderr)


def option_values(pairs: Sequence[str], model: Any) -> dict[str, Any]:
    """The options of a figure: texts stay texts where the option is one, `a,b` is a list where it is one.

    Raises:
        UserError: an option has no value, or is given twice.
    """
    from latentbench.suites.yaml_source import parse_value

    values: dict[str, Any] = {}
    for pair in pairs:
        where = f"--option {shortened(pair)}"
        key, sign, text = pair.partition("=")
        if not (key and sign):
            raise UserError("expected key=value", where=where)
        if key in values:
            raise UserError(f"--option {shortened(key)} is given twice")
        field = model.model_fields.get(key)
        kind = str(field.annotation) if field else ""
        try:
            if field is not None and field.annotation is str:
                values[key] = text
            elif kind.startswith("list") and not text.startswith("["):
                parts = text.split(",") if text else []
                values[key] = parts if "str" in kind else [parse_value(part) for part in parts]
            else:
                values[key] = parse_value(text)
        except UserError as error:
            raise error.at(where) from error
    return values
