"""Suite files: YAML that names sweeps of runs; every error says file and line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from latentbench.errors import UserError, nearest, shortened, unknown, written
from latentbench.part import Options
from latentbench.suites.dotted import check_at, dotted_settings
from latentbench.suites.expect import Verify, published_folder
from latentbench.suites.fields import Asked, Name, Seeds, Shares, Tables
from latentbench.suites.profile import Engine, EngineSpec
from latentbench.suites.settings import digest
from latentbench.suites.sweep import EvaluationSpec, Override, Sweep, merged
from latentbench.suites.tune import Tune, Tuning, read_tuning
from latentbench.suites.yaml_source import Place, Source


class Baseline(Options):
    """The row that the others of a leaderboard are compared with."""

    baseline: dict[str, Any] = Field(description="Settings that name the row, as in family: gaussian.", min_length=1)


class Leaderboard(Options):
    """Which table `latentbench run` ends with; the same words as `latentbench compare`."""

    metric: str = Field(description="Metric in the cells.")
    rows: list[str] = Field(description="Settings whose values name the rows.")
    columns: list[str] = Field(default_factory=list, description="Settings whose values name the columns.")
    index: float | None = Field(None, description="Index of the metric (a threshold, a sample size), where it has one.")
    split: str = Field("validation", description="Split that the metric was measured on.")
    evaluation: str | None = Field(None, description="Evaluation with its options, where several of the suite measure the metric.")
    comparisons: Literal["all"] | Baseline = Field(
        "all", description="The family of tests over which p-values are adjusted: all pairs of rows, or those with a `baseline`."
    )


class SuiteFile(Options):
    """What a suite file may hold."""

    name: Name = Field(description="Name of the suite.")
    description: str = Field("", description="What it is for.")
    include: list[str] = Field(default_factory=list, description="Other suite files, relative to this one, whose runs are part of this suite.")
    seeds: Seeds = Field(default_factory=lambda: [1, 2, 3, 4, 5], min_length=1, description="Seeds of every run: a list, or a text like 1-5.")
    evaluations: list[Asked] = Field(default_factory=list, description="What is measured: names, or `name: {options}`.")
    defaults: dict[str, Any] = Field(default_factory=dict, description="Settings of all sweeps, where those say nothing.")
    sweeps: list[dict[str, Any]] = Field(default_factory=list, description="Each is the product of its lists.")
    leaderboard: Leaderboard | None = Field(None, description="The table that a run of the suite ends with.")
    keep_checkpoints: Shares = Field(
        default_factory=list, description="Shares of a run, from 0 to 1, at which its model is stored as well; no part of its identity."
    )
    tune: Tune | None = Field(None, description="What `latentbench tune` tries of every model, and what it measures.")
    engine: Engine | None = Field(None, description="Where its runs are executed, unless the command line says otherwise.")
    expect: Tables = Field(
        default_factory=list, description="Published tables to compare its runs with: a folder beside the suite's results, and a table."
    )
    verify: Verify = Field(Verify(), description="How they are compared.")


@dataclass(frozen=True)
class Suite:
    """A suite with those it includes. `source` is its own file; `notes` are remarks for the user that are no mistakes.

    `digest` is a hash over what the files say, whatever their comments and places are. `verify` says how runs are compared with each
    published table of `expect`. `seeds` are its own; those of suites that it includes are in their sweeps.
    """

    name: str
    sweeps: tuple[Sweep, ...]
    leaderboard: Leaderboard | None
    source: Source
    description: str = ""
    expect: tuple[str, ...] = ()
    engine: EngineSpec | None = None
    notes: tuple[str, ...] = ()
    keep_checkpoints: tuple[float, ...] = ()
    digest: str = ""
    verify: Mapping[str, Verify] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    tune: Tuning | None = None


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
        raise source.error(error, SuiteFile) from error
    if "verify" in suite.model_fields_set and not suite.expect:
        raise UserError(f"{source.where(('verify',))}: the suite expects no published table that this could be about; name one with `expect`")
    here = path.resolve()
    if here in parents:
        raise UserError(f"{source.where(('include',))}: the suite includes itself")
    included = [_load(_included(name, source.where(("include", index)), path), (*parents, here)) for index, name in enumerate(suite.include)]
    if not suite.sweeps and not included:
        raise UserError(f"{path}: the suite has no sweeps")
    for part, names in (("rows", suite.leaderboard.rows), ("columns", suite.leaderboard.columns)) if suite.leaderboard else ():
        for index, name in enumerate(names):
            check_at(source, ("leaderboard", part, index), name)
    evaluations = tuple(_evaluations(suite, source))
    own = [_sweep(index, raw, suite, evaluations, source) for index, raw in enumerate(suite.sweeps)]
    if suite.tune is not None:
        _check_tunable(suite, own, source)
    return Suite(
        suite.name,
        (*(sweep for child in included for sweep in child.sweeps), *own),
        suite.leaderboard,
        source,
        suite.description,
        tuple(dict.fromkeys([*(name for child in included for name in child.expect), *suite.expect])),
        None if suite.engine is None else suite.engine.spec(source),
        tuple(dict.fromkeys([*(note for child in included for note in child.notes), *_missing_tables(suite, source)])),
        tuple(sorted({*suite.keep_checkpoints, *(share for child in included for share in child.keep_checkpoints)})),
        digest({"suite": source.data, "included": [child.digest for child in included]}),
        {table: how for child in included for table, how in child.verify.items()} | dict.fromkeys(suite.expect, suite.verify),
        tuple(suite.seeds),
        None if suite.tune is None else read_tuning(suite.tune, None if suite.leaderboard is None else suite.leaderboard.metric, suite.seeds, source),
    )


def _check_tunable(suite: SuiteFile, sweeps: list[Sweep], source: Source) -> None:
    """Refuse what a file of settings that tuning has found could not say."""
    if suite.include:
        raise UserError("a suite with `tune` has its sweeps itself: tune the suites that it includes", where=source.where(("include",)))
    for sweep in sweeps:
        if "seed" in sweep.explicit | sweep.defaults:
            raise UserError("a suite with `tune` has one list of seeds, `seeds`: tuning uses others", where=sweep.where("seed"))


def _included(name: str, where: str, parent: Path) -> Path:
    path = parent.parent / name
    if not os.path.isfile(path):  # unlike Path.is_file it answers for names that are too long as well
        neighbours = [p.name for p in parent.parent.glob("*.y*ml")]
        problem = "is a folder" if os.path.isdir(path) else f"does not exist{nearest(name, neighbours)}"
        raise UserError(f"{where}: suite file {shortened(str(path), 500)} {problem}")
    return path


def _missing_tables(suite: SuiteFile, source: Source) -> Iterator[str]:
    """Remarks on published folders that are not there: `results/FOLDER` in the suite's folder, or in one above it.

    Raises:
        UserError: a folder is there, and has no such table.
    """
    for index, name in enumerate(suite.expect):
        where = source.where(("expect", index))
        folder, _, table = name.partition("/")
        found = published_folder(source.path, folder)
        if found is None:
            yield f"{where}: expect {shortened(name)}: there is no folder results/{shortened(folder)} in the suite's folder or above it"
            continue
        tables = {path.stem for kind in ("summaries", "runs", "metrics") for path in (found / kind).glob("*.parquet")}
        if table not in tables:
            raise UserError(f"{where}: expect: {unknown(f'table of results/{folder}', table, tables)}")


def _evaluations(suite: SuiteFile, source: Source) -> Iterator[EvaluationSpec]:
    for index, entry in enumerate(suite.evaluations):
        for name, options in entry.items():
            yield EvaluationSpec(name, options, source.where(("evaluations", index)))


def _sweep(index: int, raw: dict[str, Any], suite: SuiteFile, evaluations: tuple[EvaluationSpec, ...], source: Source) -> Sweep:
    at = ("sweeps", index)
    own = {key: value for key, value in raw.items() if key not in ("zip", "exclude", "overrides")}
    axes, defaults = dotted_settings(own, source, at), dotted_settings(suite.defaults, source, ("defaults",))
    zipped = dotted_settings(raw.get("zip", {}), source, (*at, "zip"))
    _check_zip(zipped, axes, source, (*at, "zip"))
    excluded = [(dotted_settings(rule, source, place), source.where(place)) for rule, place in _rules(raw, "exclude", source, at)]
    overrides = [_override(rule, source, place) for rule, place in _rules(raw, "overrides", source, at)]
    lines = {"": source.where(at), "seed": source.where(("seeds",))}
    for override in overrides:
        lines |= {key: line for key, line in override.lines.items() if key}
    for keys, place in ((defaults, ("defaults",)), (axes, at), (zipped, (*at, "zip"))):
        lines |= {key: source.where((*place, *key.split("."))) for key in keys}
    return Sweep(
        axes={"seed": list(suite.seeds), **merged(defaults, axes)},
        zipped=zipped,
        excluded=tuple(excluded),
        overrides=tuple(overrides),
        explicit=frozenset({*axes, *zipped, *(key for override in overrides for key in override.settings)}),
        defaults=frozenset(defaults),
        evaluations=evaluations,
        lines=lines,
        file=source.path,
    )


def _override(rule: dict[str, Any], source: Source, at: Place) -> Override:
    if set(rule) != {"match", "set"} or not all(isinstance(rule[key], dict) for key in rule):
        raise UserError(f"{source.where(at)}: an override has two parts, `match: {{...}}` and `set: {{...}}`")
    settings = dotted_settings(rule["set"], source, (*at, "set"))
    lines = {key: source.where((*at, "set", *key.split("."))) for key in settings}
    return Override(dotted_settings(rule["match"], source, (*at, "match")), settings, {**lines, "": source.where(at)})


def _check_zip(axes: dict[str, Any], swept: dict[str, Any], source: Source, at: Place) -> None:
    lengths = {key: len(value) if isinstance(value, list) else None for key, value in axes.items()}
    if axes and (None in lengths.values() or len(set(lengths.values())) != 1 or 0 in lengths.values()):
        raise UserError(f"{source.where(at)}: zip needs lists of one length, got {', '.join(f'{k}: {v}' for k, v in lengths.items())}")
    for key in axes.keys() & swept.keys():
        raise UserError(f"{source.where((*at, *key.split('.')))}: '{key}' is in zip and in its sweep")


def _rules(sweep: dict[str, Any], kind: str, source: Source, at: Place) -> Iterator[tuple[dict[str, Any], Place]]:
    rules = sweep.get(kind, [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise UserError(f"{source.where((*at, kind))}: '{kind}' is a list of mappings, got {written(rules)}")
    for index, rule in enumerate(rules):
        yield rule, (*at, kind, index)
