"""Docstrings as Markdown: paragraphs and lists as they are, `Args:`, `Returns:` and `Raises:` as lists."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

SECTION = re.compile(r"(Args|Returns|Yields|Raises):")
ENTRY = re.compile(r"(\S.*?): (.*)")
CODE = re.compile(r"(`[^`]*`)")
TITLES = {"Args": "Arguments", "Returns": "Returns", "Yields": "Yields", "Raises": "Raises"}


def escaped(text: str) -> str:
    """Text in which nothing but backticks is markup: a `<` is no tag and a `$` no formula."""
    parts = CODE.split(text)
    return "".join(
        part if place % 2 else re.sub(r"([<$*])", lambda m: "&lt;" if m[1] == "<" else rf"\{m[1]}", part) for place, part in enumerate(parts)
    )


def cell(text: str) -> str:
    """Text of one line for a cell of a table; a bar within it is no border."""
    return escaped(" ".join(text.split())).replace("|", r"\|")


def code(text: str) -> str:
    """Code in a cell of a table, in which a bar is no border."""
    return f"`{text}`" if text else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; nothing where it has no rows."""
    lines = [" | ".join(row) for row in rows]
    return "\n".join([f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *(f"| {line} |" for line in lines)]) + "\n" if lines else ""


def docstring(of: Any) -> str:
    """The docstring of an object as Markdown; empty where it has none."""
    return markdown(inspect.getdoc(of) or "")


def markdown(text: str) -> str:
    """A docstring, dedented, as Markdown."""
    return "\n\n".join(_section(block) if SECTION.fullmatch(block.partition("\n")[0]) else escaped(block) for block in _blocks(text))


def _blocks(text: str) -> list[str]:
    """The paragraphs; one that continues indented after an empty line belongs to its section."""
    return [block.strip("\n") for block in re.split(r"\n\s*\n(?! )", text) if block.strip()]


def _section(block: str) -> str:
    title, _, body = block.partition("\n")
    entries: list[str] = []
    for line in textwrap.dedent(body).splitlines():
        if line.startswith(" ") and entries:
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(line)
    return f"**{TITLES[title.rstrip(':')]}**\n\n" + "\n".join(f"- {_entry(entry)}" for entry in entries)


def _entry(entry: str) -> str:
    named = ENTRY.fullmatch(entry)
    return f"{', '.join(f'`{name.strip()}`' for name in named[1].split(','))}: {escaped(named[2])}" if named else escaped(entry)


@cache
def attribute_docs(owner: type) -> dict[str, str]:
    """The texts that stand below the annotated attributes of a class, by name."""
    try:
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    except (OSError, TypeError):  # made at run time: it has no source to read
        return {}
    found: dict[str, str] = {}
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for statement, after in itertools.pairwise(statements):
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0] if isinstance(statement, ast.Assign) else None
        if isinstance(target, ast.Name) and isinstance(text, str):
            found[target.id] = inspect.cleandoc(text)
    return found
