"""YAML 1.2 files, in its core schema, whose errors say file and line.

PyYAML reads YAML 1.1, where `1:5:1` is the base-60 number 3901, `no` is false, `1e3` is a text and `2024-01-01` a date; its parser is used here and
its reading of scalars is not. Of 1.1 only merge keys (`<<: *anchor`) remain. Keys are texts, whatever they look like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from latentbench.errors import UserError, first_problem, nearest, shortened

Place = tuple[str | int, ...]
"""Position in a YAML file: the keys and indices on the way to it."""
MAX_NODES = 100_000
"""Values of a file, with aliases written out: an alias of aliases of aliases expands without bound."""
MAX_BYTES = 10_000_000
MAX_DIGITS = 100


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
            UserError: it is missing, is not YAML, is larger than a suite can be, or is not a mapping.
        """
        text = _text_of(path, kind)
        lines: dict[Place, int] = {}
        try:
            data = _parsed(text, lines)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            raise UserError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {error.problem}") from error
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(data, dict):
            raise UserError(f"{path}: a {kind} is a mapping with {holds}, got {'nothing' if data is None else type(data).__name__}")
        return cls(path, data, lines)

    def where(self, at: Place) -> str:
        """`file:line` of the innermost key on the way to `at` that the file has."""
        while at and at not in self.lines:
            at = at[:-1]
        return f"{self.path}:{self.lines.get(at, 1)}"

    def error(self, error: ValidationError, model: type[BaseModel]) -> UserError:
        """The first problem of a validation, with file and line."""
        problem = first_problem(error, model, self.data)
        return problem.error(self.where(problem.at))


def parse_value(text: str) -> Any:
    """A value given on the command line, read as YAML.

    Raises:
        UserError: it is not YAML.
    """
    try:
        return _parsed(text, {})
    except (yaml.YAMLError, ValueError) as error:
        problem = getattr(error, "problem", None) or error
        raise UserError(f"cannot read the value {shortened(repr(text))}: {' '.join(str(problem).split())}") from error


def yaml_text(data: Any) -> str:
    """Data of mappings with text keys, lists, texts, numbers, booleans and nulls as YAML, which `Source` reads as the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _text_of(path: Path, kind: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        neighbours = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
        raise UserError(f"{kind} file {path} does not exist{nearest(path.name, neighbours)}") from error
    except IsADirectoryError as error:
        raise UserError(f"{kind} file {path} is a folder") from error
    except (OSError, ValueError) as error:  # a ValueError is a text that is not UTF-8, or a path with a zero byte
        raise UserError(f"{kind} file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(text) > MAX_BYTES:
        raise UserError(f"{kind} file {path} is larger than {MAX_BYTES // 1_000_000} MB")
    return text


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2's core schema (chapter 10.3 of its specification)."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of more than {MAX_DIGITS} digits")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "null": (r"~|null|Null|NULL|", "~nN", lambda text: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text.lower() == "true"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789", _integer),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
        lambda text: float(re.sub(r"\.(?=[iIN]|nan)", "", text)),
    ),
    "merge": (r"<<", "<", str),
}
"""Tag -> how such a scalar is written, the characters that it begins with, and its value. All others are texts."""
for _name, (_pattern, _first, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), [*_first, *([""] if _name == "null" else [])])


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, which puts those texts in quotes that the reader above would not take for texts; repeated values are written out."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _parsed(text: str, lines: dict[Place, int]) -> Any:
    """The value of a YAML text; `lines` gets the line of everything in it.

    Raises:
        YAMLError: it is not YAML 1.2's core schema.
        ValueError: it is nested too deeply.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        return None if node is None else _Construction(lines).value(node, ())
    except RecursionError:
        raise ValueError("it is nested too deeply, or without end") from None
    except yaml.reader.ReaderError as error:
        mark = yaml.Mark("", error.position, text.count("\n", 0, error.position), 0, None, 0)
        raise yaml.MarkedYAMLError(problem=f"the character {chr(error.character)!r} is not allowed", problem_mark=mark) from error


class _Construction:
    """Values out of nodes; counts them, as aliases may repeat a node any number of times."""

    def __init__(self, lines: dict[Place, int]) -> None:
        self.lines = lines
        self.nodes = 0

    def value(self, node: yaml.Node, at: Place) -> Any:
        self._count(node)
        self.lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, "map")
            return {key: self._entry(key, key_node, value, at) for key, (key_node, value) in self._entries(node).items()}
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq")
            return [self.value(item, (*at, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _entry(self, key: str, key_node: yaml.Node, value: yaml.Node, at: Place) -> Any:
        self.lines[(*at, key)] = key_node.start_mark.line + 1
        return self.value(value, (*at, key))

    def _entries(self, node: yaml.MappingNode) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The entries of a mapping by key: those that it merges, then its own, which win."""
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value in node.value:
            self._count(key_node)
            if key_node.tag == _TAG + "merge":
                for other in self._merged_by(value):
                    merged = {**self._entries(other), **merged}  # of several the first wins
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise _error(key_node, "a key is a text")
            if key_node.value in own:
                raise _error(key_node, f"duplicate key '{key_node.value}'")
            own[key_node.value] = (key_node, value)
        return {**merged, **own}

    @staticmethod
    def _merged_by(value: yaml.Node) -> Iterator[yaml.MappingNode]:
        for node in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(node, yaml.MappingNode):
                raise _error(node, "`<<` merges a mapping or a list of mappings")
            yield node

    def _scalar(self, node: yaml.Node) -> Any:
        name = node.tag.removeprefix(_TAG)
        if name in ("str", "merge"):
            return node.value
        if name not in _SCALARS or not re.fullmatch(_SCALARS[name][0], node.value):
            raise _error(node, f"{shortened(repr(node.value))} is not of the tag {node.tag}" if name in _SCALARS else f"unknown tag {node.tag}")
        try:
            return _SCALARS[name][2](node.value)
        except ValueError as error:
            raise _error(node, str(error)) from error

    @staticmethod
    def _check_tag(node: yaml.Node, name: str) -> None:
        if node.tag != _TAG + name:
            raise _error(node, f"unknown tag {node.tag}")

    def _count(self, node: yaml.Node) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _error(node, f"more than {MAX_NODES} values, with aliases written out")


def _error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
