"""Suite files: YAML that names sweeps of runs; every error says file and line."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from latentbench.errors import UserError, nearest
from latentbench.part import Options
from latentbench.profile import Engine, EngineSpec
from latentbench.settings import Settings, Training
from latentbench.yaml_source import Place, Source

Dotted = Mapping[str, Any]
"""Settings with dotted keys, like `training.epochs`."""
NESTED = ("family_options", "estimator_options", "encoder_options", "decoder_options", "training")
"""Settings that hold settings; in dotted keys like `training.epochs` they come before the dot."""


Expected = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
"""A published table: results folder and fragment, as in `published/table5`."""


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
    seeds: list[Annotated[int, Field(ge=0, lt=2**63)]] = Field(
        default_factory=lambda: [1, 2, 3, 4, 5], min_length=1, description="Seeds of every run."
    )
    evaluations: list[str | dict[str, dict[str, Any]]] = Field(default_factory=list, description="What is measured: names, or `name: {options}`.")
    defaults: dict[str, Any] = Field(default_factory=dict, description="Settings of all sweeps, where those say nothing.")
    sweeps: list[dict[str, Any]] = Field(default_factory=list, description="Each is the product of its lists.")
    leaderboard: Leaderboard | None = Field(None, description="The table that a run of the suite ends with.")
    engine: Engine | None = Field(None, description="Where its runs are executed, unless the command line says otherwise.")
    expect: Expected | list[Expected] = Field(default_factory=list, description="Published tables that its runs are to be compared with.")


@dataclass(frozen=True)
class EvaluationSpec:
    """One evaluation that a suite asks for, as written."""

    name: str
    options: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Sweep:
    """One sweep of a suite, not yet expanded. `axes` hold a value or a list of values for every dotted setting, the suite's defaults included.

    `explicit` are the settings that the sweep itself names, `defaults` those of its suite; `lines` says where each stands.
    """

    axes: Dotted
    zipped: Dotted
    excluded: tuple[tuple[Dotted, str], ...]
    overrides: tuple[tuple[Dotted, Dotted, str], ...]
    explicit: frozenset[str]
    defaults: frozenset[str]
    evaluations: tuple[EvaluationSpec, ...]
    lines: Mapping[str, str]
    file: Path

    def where(self, key: str = "") -> str:
        """`file:line` of a setting of this sweep, or of the sweep."""
        return self.lines.get(key) or self.lines[""]

    def points(self, changes: Dotted) -> list[dict[str, Any]]:
        """The settings of every run. `changes` (dotted; lists sweep) replace the sweep's own before anything is excluded, and overrides too.

        Raises:
            UserError: a list is empty, no run is left, or a rule matches no run (unless there are changes, which may leave it without one).
        """
        points = [{**point, **extra} for point in _product(merged(self.axes, changes), self) for extra in _together(self.zipped)]
        points = [merged(point, {key: value for key, value in changes.items() if key in self.zipped}) for point in points]
        for rule, where in self.excluded:
            kept = [point for point in points if not _matches(point, rule)]
            if len(kept) == len(points) and not changes:
                raise UserError(f"{where}: exclude matches no run of the sweep")
            points = kept
        for match, settings, where in self.overrides:
            if not changes and not any(_matches(point, match) for point in points):
                raise UserError(f"{where}: the override matches no run of the sweep")
            fixed = {key: value for key, value in settings.items() if key not in changes}
            points = [merged(point, fixed) if _matches(point, match) else point for point in points]
        if not points and not changes:
            raise UserError(f"{self.where()}: the sweep is empty: no run is left")
        return points


def merged(lower: Dotted, upper: Dotted) -> dict[str, Any]:
    """Settings where `upper` wins; a length in steps replaces one in epochs, and the other way round."""
    lengths = {"training.steps", "training.epochs"}
    replaced = lengths - upper.keys() if lengths & upper.keys() else set()
    return {**{key: value for key, value in lower.items() if key not in replaced}, **upper}


@dataclass(frozen=True)
class Suite:
    """A suite with those it includes."""

    name: str
    sweeps: tuple[Sweep, ...]
    leaderboard: Leaderboard | None
    description: str = ""
    expect: tuple[str, ...] = ()
    engine: EngineSpec | None = None


def load_suite(path: Path) -> Suite:
    """Read a suite file and those it includes.

    Raises:
        UserError: the file is missing, is not YAML, or says something that a suite cannot say; the message names file and line.
    """
    return _load(path, ())


def _load(path: Path, parents: tuple[Path, ...]) -> Suite:
    source = Source.read(path, "suite", "`name` and `sweeps`")
    try:
        suite = SuiteFile.model_validate(source.data)
    except ValidationError as error:
        raise UserError(source.explain(error, SuiteFile)) from error
    here = path.resolve()
    if here in parents:
        raise UserError(f"{source.where(('include',))}: the suite includes itself")
    included = []
    for index, name in enumerate(suite.include):
        if not (path.parent / name).is_file():
            raise UserError(f"{source.where(('include', index))}: suite file {path.parent / name} does not exist")
        included.append(_load(path.parent / name, (*parents, here)))
    if not suite.sweeps and not included:
        raise UserError(f"{path}: the suite has no sweeps")
    for index, name in enumerate([*suite.leaderboard.rows, *suite.leaderboard.columns] if suite.leaderboard else ()):
        where = ("leaderboard", "rows", index) if index < len(suite.leaderboard.rows) else ("leaderboard", "columns")  # type: ignore[union-attr]  # set
        _check_at(source, where, name)
    evaluations = tuple(_evaluations(suite, source))
    own = [_sweep(index, raw, suite, evaluations, source) for index, raw in enumerate(suite.sweeps)]
    expected = [name for child in included for name in child.expect] + ([suite.expect] if isinstance(suite.expect, str) else suite.expect)
    sweeps = (*(s for child in included for s in child.sweeps), *own)
    engine = None if suite.engine is None else suite.engine.spec(source)
    return Suite(suite.name, sweeps, suite.leaderboard, suite.description, tuple(dict.fromkeys(expected)), engine)


def _evaluations(suite: SuiteFile, source: Source) -> Iterator[EvaluationSpec]:
    for index, entry in enumerate(suite.evaluations):
        where = source.where(("evaluations", index))
        if isinstance(entry, str):
            yield EvaluationSpec(entry, {}, where)
            continue
        for name, options in entry.items():
            yield EvaluationSpec(name, options, where)


def _sweep(index: int, raw: dict[str, Any], suite: SuiteFile, evaluations: tuple[EvaluationSpec, ...], source: Source) -> Sweep:
    at = ("sweeps", index)
    own = {key: value for key, value in raw.items() if key not in ("zip", "exclude", "overrides")}
    axes, defaults = _dotted(own, source, at), _dotted(suite.defaults, source, ("defaults",))
    zipped = _dotted(raw.get("zip", {}), source, (*at, "zip"))
    _check_zip(zipped, axes, source, (*at, "zip"))
    excluded = [
        (_dotted(rule, source, (*at, "exclude", number)), source.where((*at, "exclude", number)))
        for number, rule in enumerate(_rules(raw.get("exclude", []), source, (*at, "exclude")))
    ]
    overrides = [
        _override(rule, source, (*at, "overrides", number))
        for number, rule in enumerate(_rules(raw.get("overrides", []), source, (*at, "overrides")))
    ]
    explicit = {*axes, *zipped, *(key for _, settings, _ in overrides for key in settings)}
    lines = {key: source.where(("defaults", *key.split("."))) for key in defaults} | {key: source.where((*at, *key.split("."))) for key in explicit}
    return Sweep(
        axes={"seed": list(suite.seeds), **merged(defaults, axes)},
        zipped=zipped,
        excluded=tuple(excluded),
        overrides=tuple(overrides),
        explicit=frozenset(explicit),
        defaults=frozenset(defaults),
        evaluations=evaluations,
        lines={**lines, "": source.where(at)},
        file=source.path,
    )


def _override(rule: dict[str, Any], source: Source, at: Place) -> tuple[Dotted, Dotted, str]:
    if set(rule) != {"match", "set"} or not all(isinstance(rule[key], dict) for key in rule):
        raise UserError(f"{source.where(at)}: an override has two parts, `match: {{...}}` and `set: {{...}}`")
    return _dotted(rule["match"], source, (*at, "match")), _dotted(rule["set"], source, (*at, "set")), source.where(at)


def _product(axes: Dotted, sweep: Sweep) -> Iterator[dict[str, Any]]:
    choices = []
    for key, value in axes.items():
        if isinstance(value, list) and not value:
            raise UserError(f"{sweep.where(key)}: the sweep is empty: '{key}' has no values")
        choices.append(value if isinstance(value, list) else [value])
    for values in itertools.product(*choices):
        yield dict(zip(axes, values, strict=True))


def _check_zip(axes: Dotted, swept: Dotted, source: Source, at: Place) -> None:
    lengths = {key: len(value) if isinstance(value, list) else None for key, value in axes.items()}
    if axes and (None in lengths.values() or len(set(lengths.values())) != 1 or 0 in lengths.values()):
        raise UserError(f"{source.where(at)}: zip needs lists of one length, got {', '.join(f'{k}: {v}' for k, v in lengths.items())}")
    for key in axes.keys() & swept.keys():
        raise UserError(f"{source.where((*at, *key.split('.')))}: '{key}' stands in zip and in its sweep")


def _together(axes: Dotted) -> list[dict[str, Any]]:
    """The values of zipped lists, step by step; one empty step where there are none."""
    return [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)] if axes else [{}]


def _rules(raw: Any, source: Source, at: Place) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or not all(isinstance(rule, dict) for rule in raw):
        raise UserError(f"{source.where(at)}: '{at[-1]}' is a list of mappings")
    return raw


def _matches(point: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    return all(point.get(key) in (value if isinstance(value, list) else [value]) for key, value in rule.items())


def _dotted(raw: Any, source: Source, at: Place) -> dict[str, Any]:
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
        _check_at(source, (*at, *key.split(".")), key)
    return flat


def _check_at(source: Source, at: Place, key: str) -> None:
    try:
        check_key(key)
    except UserError as error:
        raise UserError(f"{source.where(at)}: {error}") from error


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
