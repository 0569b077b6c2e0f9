"""YAML files whose errors say file and line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from latentbench.errors import UserError, explain_problem, nearest

Place = tuple[str | int, ...]
"""Where something stands in a YAML file: the keys and indices on the way to it."""


@dataclass(frozen=True)
class Source:
    """A parsed YAML file that remembers the line of every key and item."""

    path: Path
    data: Any
    lines: dict[Place, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, kind: str, holds: str) -> Source:
        """Read a file. Messages say its `kind`, and what it `holds`.

        Raises:
            UserError: it is missing, is not YAML, or is not a mapping.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            beside = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
            hint = nearest(path.name, beside)
            raise UserError(f"{kind} file {path} does not exist{hint}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{kind} file {path} cannot be read: {error}") from error
        try:
            node = yaml.compose(text, Loader=_Loader)
            lines: dict[Place, int] = {}
            data = _construct(node, (), lines, path) if node else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            raise UserError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {error.problem}") from error
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:  # the last three come from YAML's more exotic values
            raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(data, dict):
            raise UserError(f"{path}: a {kind} is a mapping with {holds}, got {'nothing' if data is None else type(data).__name__}")
        return cls(path, data, lines)

    def where(self, at: Place) -> str:
        """`file:line` of the innermost key on the way to `at` that the file has."""
        while at and at not in self.lines:
            at = at[:-1]
        return f"{self.path}:{self.lines.get(at, 1)}"

    def explain(self, error: ValidationError, model: type[BaseModel]) -> str:
        """The first problem of a validation, with file and line."""
        problem = min(error.errors(), key=lambda p: p["type"] != "extra_forbidden")  # a misspelt key explains a missing one
        return f"{self.where(problem['loc'])}: {explain_problem(problem, model.model_fields)}"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's floats: PyYAML reads 1e-4 as a text."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))


def _construct(node: yaml.Node, at: Place, lines: dict[Place, int], path: Path) -> Any:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        own = [(key.value, key.start_mark.line + 1) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for index, (key, line) in enumerate(own):
            if key in [other for other, _ in own[:index]]:
                raise UserError(f"{path}:{line}: the key '{key}' stands twice")
        _Loader("").flatten_mapping(node)  # takes in merge keys, `<<: *anchor`; the mapping's own keys come last and win
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node)
            lines[(*at, key)] = key_node.start_mark.line + 1
            result[key] = _construct(value_node, (*at, key), lines, path)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*at, index), lines, path) for index, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_object(node, deep=True)
    finally:
        loader.dispose()


def parse_value(text: str) -> Any:
    """A value given on the command line, read as YAML.

    Raises:
        UserError: it is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UserError(f"cannot read the value {text!r}: {' '.join(str(error).split())}") from error
