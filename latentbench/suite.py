"""Suite files: YAML that names sweeps of runs; every error says file and line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from latentbench.errors import UserError, nearest
from latentbench.part import Options
from latentbench.settings import Settings, Training

NESTED = ("family_options", "estimator_options", "encoder_options", "decoder_options", "training")
"""Settings that hold settings; in dotted keys like `training.epochs` they come before the dot."""


class Leaderboard(Options):
    """Which table `latentbench run` ends with; the same words as `latentbench compare`."""

    metric: str = Field(description="Metric in the cells.")
    rows: list[str] = Field(description="Settings whose values name the rows.")
    columns: list[str] = Field(default_factory=list, description="Settings whose values name the columns.")


class SuiteFile(Options):
    """What a suite file may hold."""

    name: str = Field(description="Name of the suite.")
    description: str = Field("", description="What it is for.")
    include: list[str] = Field(default_factory=list, description="Other suite files, relative to this one, whose runs are part of this suite.")
    seeds: list[int] = Field(default_factory=lambda: [1, 2, 3, 4, 5], min_length=1, description="Seeds of every run.")
    evaluations: list[str | dict[str, dict[str, Any]]] = Field(default_factory=list, description="What is measured: names, or `name: {options}`.")
    defaults: dict[str, Any] = Field(default_factory=dict, description="Settings of all sweeps, where those say nothing.")
    sweeps: list[dict[str, Any]] = Field(default_factory=list, description="Each is the product of its lists.")
    leaderboard: Leaderboard | None = Field(None, description="The table that a run of the suite ends with.")


@dataclass(frozen=True)
class EvaluationSpec:
    """One evaluation that a suite asks for, as written."""

    name: str
    options: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Sweep:
    """One sweep of a suite: its points are dotted settings, one dict a run, seeds included."""

    points: tuple[dict[str, Any], ...]
    explicit: frozenset[str]
    evaluations: tuple[EvaluationSpec, ...]
    lines: Mapping[str, str]

    def where(self, key: str = "") -> str:
        """`file:line` of a setting of this sweep, or of the sweep."""
        return self.lines.get(key) or self.lines[""]


@dataclass(frozen=True)
class Suite:
    """A suite with those it includes."""

    name: str
    sweeps: tuple[Sweep, ...]
    leaderboard: Leaderboard | None


def load_suite(path: Path) -> Suite:
    """Read a suite file and those it includes.

    Raises:
        UserError: the file is missing, is not YAML, or says something that a suite cannot say; the message names file and line.
    """
    return _load(path, ())


def _load(path: Path, parents: tuple[Path, ...]) -> Suite:
    source = _Source.read(path)
    try:
        suite = SuiteFile.model_validate(source.data)
    except ValidationError as error:
        raise UserError(source.explain(error, SuiteFile)) from error
    here = path.resolve()
    if here in parents:
        raise UserError(f"{source.where(('include',))}: the suite includes itself")
    included = [_load(path.parent / name, (*parents, here)) for name in suite.include]
    if not suite.sweeps and not included:
        raise UserError(f"{path}: the suite has no sweeps")
    evaluations = tuple(_evaluations(suite, source))
    defaults = _dotted(suite.defaults, source, ("defaults",))
    own = [_sweep(index, raw, suite, defaults, evaluations, source) for index, raw in enumerate(suite.sweeps)]
    used = frozenset().union(*(set(point) for sweep in own for point in sweep.points))
    for key in defaults.keys() - used:
        raise UserError(f"{source.where(('defaults', *key.split('.')))}: no sweep has a run for the default '{key}'")
    return Suite(suite.name, (*(s for child in included for s in child.sweeps), *own), suite.leaderboard)


def _evaluations(suite: SuiteFile, source: _Source) -> Iterator[EvaluationSpec]:
    for index, entry in enumerate(suite.evaluations):
        where = source.where(("evaluations", index))
        if isinstance(entry, str):
            yield EvaluationSpec(entry, {}, where)
            continue
        for name, options in entry.items():
            yield EvaluationSpec(name, options, where)


def _sweep(
    index: int, raw: dict[str, Any], suite: SuiteFile, defaults: dict[str, Any], evaluations: tuple[EvaluationSpec, ...], source: _Source
) -> Sweep:
    at = ("sweeps", index)
    raw = dict(raw)
    zipped, excluded, overridden = raw.pop("zip", {}), raw.pop("exclude", []), raw.pop("overrides", [])
    own = _dotted(raw, source, at)
    axes = {"seed": list(suite.seeds), **defaults, **own}
    points = list(_product(axes, source, at))
    if zipped:
        points = _zip(points, zipped, source, (*at, "zip"))
    explicit = set(own) | set(_dotted(zipped, source, (*at, "zip")))
    for number, rule in enumerate(_rules(excluded, source, (*at, "exclude"))):
        matched = [point for point in points if _matches(point, _dotted(rule, source, (*at, "exclude", number)))]
        if not matched:
            raise UserError(f"{source.where((*at, 'exclude', number))}: exclude matches no run of the sweep")
        points = [point for point in points if point not in matched]
    for number, rule in enumerate(_rules(overridden, source, (*at, "overrides"))):
        here = (*at, "overrides", number)
        if set(rule) != {"match", "set"} or not all(isinstance(rule[key], dict) for key in rule):
            raise UserError(f"{source.where(here)}: an override has two parts, `match: {{...}}` and `set: {{...}}`")
        match, changes = _dotted(rule["match"], source, (*here, "match")), _dotted(rule["set"], source, (*here, "set"))
        if not any(_matches(point, match) for point in points):
            raise UserError(f"{source.where(here)}: the override matches no run of the sweep")
        points = [{**point, **changes} if _matches(point, match) else point for point in points]
        explicit |= set(changes)
    if not points:
        raise UserError(f"{source.where(at)}: the sweep is empty: no run is left")
    lines = {key: source.where((*at, *key.split("."))) for key in explicit}
    return Sweep(tuple(points), frozenset(explicit), evaluations, {**lines, "": source.where(at)})


def _product(axes: dict[str, Any], source: _Source, at: tuple[str | int, ...]) -> Iterator[dict[str, Any]]:
    choices = []
    for key, value in axes.items():
        if isinstance(value, list) and not value:
            raise UserError(f"{source.where((*at, *key.split('.')))}: the sweep is empty: '{key}' has no values")
        choices.append(value if isinstance(value, list) else [value])
    for values in itertools.product(*choices):
        yield dict(zip(axes, values, strict=True))


def _zip(points: list[dict[str, Any]], raw: Any, source: _Source, at: tuple[str | int, ...]) -> list[dict[str, Any]]:
    axes = _dotted(raw, source, at)
    lengths = {key: len(value) if isinstance(value, list) else None for key, value in axes.items()}
    if None in lengths.values() or len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise UserError(f"{source.where(at)}: zip needs lists of one length, got {', '.join(f'{k}: {v}' for k, v in lengths.items())}")
    together = [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)]
    return [{**point, **extra} for point in points for extra in together]


def _rules(raw: Any, source: _Source, at: tuple[str | int, ...]) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or not all(isinstance(rule, dict) for rule in raw):
        raise UserError(f"{source.where(at)}: '{at[-1]}' is a list of mappings")
    return raw


def _matches(point: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    return all(point.get(key) in (value if isinstance(value, list) else [value]) for key, value in rule.items())


def _dotted(raw: Any, source: _Source, at: tuple[str | int, ...]) -> dict[str, Any]:
    """Nested settings as dotted keys, their names checked."""
    if not isinstance(raw, dict):
        raise UserError(f"{source.where(at)}: expected settings like `family: poisson`, got {raw!r}")
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        if key in NESTED:
            if not isinstance(value, dict):
                raise UserError(f"{source.where((*at, key))}: '{key}' holds settings, got {value!r}")
            flat.update({f"{key}.{inner}": v for inner, v in value.items()})
        else:
            flat[str(key)] = value
    for key in flat:
        try:
            check_key(key)
        except UserError as error:
            raise UserError(f"{source.where((*at, *key.split('.')))}: {error}") from error
    return flat


def check_key(key: str) -> None:
    """Check that a dotted key names a setting; options of parts are checked when the parts are known.

    Raises:
        UserError: it does not; the message has the nearest name.
    """
    outer, _, inner = key.partition(".")
    if outer == "training":
        if inner in Training.model_fields:
            return
        raise UserError(f"unknown setting '{key}'{_suggest(inner, 'training.', Training.model_fields)}")
    if inner and outer in NESTED:
        return
    if outer in NESTED or (key not in Settings.model_fields):
        raise UserError(f"unknown setting '{key}'{nearest(key, [*Settings.model_fields, 'zip', 'exclude', 'overrides'])}")


def _suggest(name: str, prefix: str, known: Mapping[str, Any]) -> str:
    return nearest(name, known).replace("'", f"'{prefix}", 1)


@dataclass(frozen=True)
class _Source:
    """A parsed YAML file that remembers the line of every key and item."""

    path: Path
    data: Any
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> _Source:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            beside = sorted(p.name for p in path.parent.glob("*.y*ml")) if path.parent.is_dir() else []
            hint = nearest(path.name, beside)
            raise UserError(f"suite file {path} does not exist{hint}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"suite file {path} cannot be read: {error}") from error
        try:
            node = yaml.compose(text, Loader=_Loader)
            lines: dict[tuple[str | int, ...], int] = {}
            data = _construct(node, (), lines, path) if node else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            raise UserError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {error.problem}") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not valid YAML: {error}") from error
        if not isinstance(data, dict):
            raise UserError(f"{path}: a suite is a mapping with `name` and `sweeps`, got {'nothing' if data is None else type(data).__name__}")
        return cls(path, data, lines)

    def where(self, at: tuple[str | int, ...]) -> str:
        """`file:line` of the innermost key on the way to `at` that the file has."""
        while at and at not in self.lines:
            at = at[:-1]
        return f"{self.path}:{self.lines.get(at, 1)}"

    def explain(self, error: ValidationError, model: type[Options]) -> str:
        """The first problem of a validation, with file and line."""
        problem = min(error.errors(), key=lambda p: p["type"] != "extra_forbidden")  # a misspelt key explains a missing one
        return f"{self.where(problem['loc'])}: {explain_problem(problem, model.model_fields)}"


def explain_problem(problem: Any, known: Mapping[str, Any]) -> str:
    """One pydantic problem in one line: which key, what is allowed, what was found."""
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'{nearest(key, known)}; known: {', '.join(known)}"
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    found = "" if problem["type"] == "value_error" and not key else f", got {problem['input']!r}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key + ': ' if key else ''}{message[0].lower()}{message[1:]}{found}"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's floats: PyYAML reads 1e-4 as a text."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))


def _construct(node: yaml.Node, at: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], path: Path) -> Any:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node)
            line = key_node.start_mark.line + 1
            if key in result:
                raise UserError(f"{path}:{line}: the key '{key}' stands twice")
            lines[(*at, key)] = line
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
