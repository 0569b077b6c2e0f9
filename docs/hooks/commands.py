"""Every command's help as a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docstrings import cell, code, escaped, table
from typer.main import get_command

from latentbench.cli.app import app


def page() -> str:
    """All commands, each with its arguments and flags."""
    sections = "\n\n".join(_command(name, command) for name, command in _walk(get_command(app), "latentbench"))
    return f"# Commands\n\n`latentbench COMMAND --help` prints the same.\n\n{sections}\n"


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command by its full name; a group has a section of its own where it has flags."""
    if not hasattr(command, "commands") or any("--help" not in parameter.opts for parameter in command.params):
        yield name, command
    for child, of in getattr(command, "commands", {}).items():
        yield from _walk(of, f"{name} {child}")


def _command(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    parameters = [parameter for parameter in command.params if "--help" not in parameter.opts and not getattr(parameter, "hidden", False)]
    rows = [(_named(parameter, context), cell(_record(parameter, context)[1])) for parameter in parameters]
    arguments = [_metavar(parameter) for parameter in parameters if parameter.param_type_name == "argument"]
    usage = " ".join([name, *arguments, *(["[FLAGS]"] if len(arguments) < len(parameters) else [])])
    return "\n\n".join([f"## {name}", f"```text\n{usage}\n```", escaped(command.help or ""), table(("argument or flag", "meaning"), rows)])


def _record(parameter: Any, context: Any) -> tuple[str, str]:
    return parameter.get_help_record(context) or ("", "")


def _named(parameter: Any, context: Any) -> str:
    return code(_metavar(parameter) if parameter.param_type_name == "argument" else _record(parameter, context)[0])


def _metavar(parameter: Any) -> str:
    text = parameter.metavar or parameter.name.upper()
    return text if parameter.required or text.startswith("[") else f"[{text}]"
