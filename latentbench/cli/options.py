"""Arguments and flags that commands share, and what they mean to the library.

A group of flags is a frozen dataclass: every field is a flag, and its one method makes of their texts what the library takes. A command that has a
parameter of a group's type has all flags of the group (`expanded`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from latentbench.cli import completion
from latentbench.errors import UserError, nearest, shortened

if TYPE_CHECKING:
    from latentbench.engine import Limits
    from latentbench.reporting.contrasts import Statistics
    from latentbench.reporting.query import Query
    from latentbench.runner import Selection
    from latentbench.suites.expand import Changes
    from latentbench.suites.launch import Launch
    from latentbench.suites.suite import Leaderboard

T = TypeVar("T")


def path(text: str | Path) -> Path:
    """A path that is not empty."""
    if str(text) == "":
        raise typer.BadParameter("expected a path, got nothing")
    return Path(text)


DEFAULT_RESULTS = Path("results")
SuitePath = Annotated[Path, typer.Argument(metavar="SUITE", parser=path, help="Suite file (YAML).")]
Results = Annotated[Path, typer.Option("--results", metavar="FOLDER", parser=path, help="Results folder.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="KEY=VALUE", autocompletion=completion.change, help="Only runs with this value, or one of several: key=a,b."),
]

Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", parser=path, help="Use the parts of this Python file without packaging it; may be repeated."),
]


class Style(StrEnum):
    """How `show`, `status` and `plan` print."""

    text = "text"
    json = "json"


Format = Annotated[Style, typer.Option("--format", help="text, or json for programs.")]


class Which(StrEnum):
    """The stored runs that `--refresh` and `--accept` are about."""

    stale = "stale"


@dataclass(frozen=True)
class ChangeFlags:
    """What changes a suite's runs, or selects among them."""

    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", autocompletion=completion.change, help="Change a setting of every run, as in training.batch_size=100."
        ),
    ] = None
    only: Only = None
    scale: Annotated[float, typer.Option("--scale", metavar="FACTOR", help="Multiply every duration: steps, epochs, warm-up, annealing.")] = 1.0
    limit_data: Annotated[float | None, typer.Option("--limit-data", metavar="SHARE", help="Use this share of every split.")] = None
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="LIST", help="Seeds instead of the suite's, as in 1-3 or 1,5.")] = None
    compile_: Annotated[bool, typer.Option("--compile", help="Compile the networks; the same as --set compile=true.")] = False

    def changes(self) -> Changes:
        """The changes to a suite.

        Raises:
            UserError: a flag has a wrong value, or two flags set the same.
        """
        from latentbench.numbers import parse_numbers
        from latentbench.suites.expand import Changes

        if not 0 < self.scale < inf:
            raise UserError("expected a number above 0", where=f"--scale {self.scale:g}")
        if self.limit_data is not None and not 0 < self.limit_data <= 1:
            raise UserError("expected a share, above 0 and at most 1", where=f"--limit-data {self.limit_data:g}")
        sets = set_values(self.sets or [], "--set")
        given = {"seed": ("--seeds", self.seeds), "limit_data": ("--limit-data", self.limit_data), "compile": ("--compile", self.compile_ or None)}
        for key, (flag, value) in given.items():
            if key in sets and value is not None:
                raise UserError(f"--set {key} and {flag} are the same; give one of them")
        compiled = {"compile": True} if self.compile_ else {}
        seeds = None if self.seeds is None else _parsed(self.seeds, "--seeds", parse_numbers)
        return Changes({**sets, **compiled}, only_values(self.only or []), self.scale, self.limit_data, seeds)


@dataclass(frozen=True)
class EngineFlags:
    """Where runs are executed. All but `engine` and `profile` are options of engines, given on the command line."""

    gpus: Annotated[
        str | None, typer.Option("--gpus", metavar="GPUS", help="Run on these GPUs, as in 0-7 or 0,2; on a cluster: the number of GPUs a job.")
    ] = None
    per_gpu: Annotated[
        str | None, typer.Option("--per-gpu", metavar="N|auto", help="Runs at a time on each GPU; auto: as many as its memory holds.")
    ] = None
    cpus: Annotated[int | None, typer.Option("--cpus", metavar="N", help="Runs at a time, one thread each (default: one a core).")] = None
    engine: Annotated[str | None, typer.Option("--engine", metavar="NAME", help="What executes the runs; `latentbench list engines`.")] = None
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="FILE", help="File with an `engine:` section, or its name in the configuration.")
    ] = None

    def launch(self) -> Launch:
        """The engine and its options, as named on the command line."""
        from latentbench.suites.launch import Launch

        options = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("engine", "profile")}
        return Launch(self.engine, self.profile, {name: value for name, value in options.items() if value is not None})


@dataclass(frozen=True)
class SelectionFlags:
    """Which runs are run again."""

    force: Annotated[bool, typer.Option("--force", help="Run everything again, finished or not.")] = False
    retry: Annotated[str, typer.Option("--retry", metavar="KINDS", help="Run failed runs again: all, or kinds of failure, as in killed,timeout.")] = (
        ""
    )
    refresh: Annotated[Which | None, typer.Option("--refresh", help="Train and measure again where the code has changed since.")] = None
    accept: Annotated[Which | None, typer.Option("--accept", help="Measure what stale runs lack on their stored models, without training.")] = None

    def selection(self) -> Selection:
        """Which stored runs are run again.

        Raises:
            UserError: a kind of failure is unknown, or two flags contradict each other.
        """
        from latentbench.runner import Selection

        if self.accept and (self.refresh or self.force):
            raise UserError("--accept stale keeps the stored models, and --refresh stale and --force train them again: choose one")
        return Selection(self.force, _failure_kinds(self.retry), self.refresh is not None, self.accept is not None)


@dataclass(frozen=True)
class MeasureFlags:
    """Which stored models are measured that would not be."""

    retry: Annotated[
        str, typer.Option("--retry", metavar="KINDS", help="Measure runs of which an evaluation has failed too: all, or evaluation.")
    ] = ""
    refresh: Annotated[Which | None, typer.Option("--refresh", help="Measure again what other code has measured.")] = None
    accept: Annotated[Which | None, typer.Option("--accept", help="Measure models that other code has trained.")] = None

    def selection(self) -> Selection:
        """Which of them are measured.

        Raises:
            UserError: a kind of failure is unknown.
        """
        from latentbench.runner import Selection

        return Selection(False, _failure_kinds(self.retry), self.refresh is not None, self.accept is not None)


@dataclass(frozen=True)
class LimitFlags:
    """When runs are ended."""

    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")] = False
    time_limit: Annotated[str | None, typer.Option("--time-limit", metavar="DURATION", help="Longest time of a run, as in 90s, 30m or 12h.")] = None

    def limits(self) -> Limits:
        """The limits of time and failures.

        Raises:
            UserError: the time is not one.
        """
        from latentbench.engine import Limits
        from latentbench.numbers import Duration

        return Limits(None if self.time_limit is None else _parsed(self.time_limit, "--time-limit", Duration.parse).seconds, self.fail_fast)


@dataclass(frozen=True)
class QueryFlags:
    """What a leaderboard shows."""

    metric: Annotated[
        str | None, typer.Option(autocompletion=completion.metric, help="Metric in the cells, or several with commas between (default: nelbo).")
    ] = None
    rows: Annotated[
        str, typer.Option(metavar="SETTINGS", autocompletion=completion.names, help="Settings that name the rows, as in family,estimator.")
    ] = ""
    columns: Annotated[str, typer.Option(metavar="SETTINGS", autocompletion=completion.names, help="Settings that name the columns.")] = ""
    split: Annotated[str | None, typer.Option(help="Split that the metric was measured on (default: validation).")] = None
    index: Annotated[float | None, typer.Option(help="Index of the metric (a threshold, a sample size), where it has one.")] = None
    evaluation: Annotated[
        str | None,
        typer.Option(metavar="NAME(OPTIONS)", help="Evaluation, by name and options or by id, where a metric was measured by several."),
    ] = None
    only: Only = None
    values_of: Annotated[str, typer.Option("--from", help="runs, summaries, or auto: summaries where there are no runs.")] = "auto"

    def query(self, board: Leaderboard | None = None) -> tuple[Query, list[str]]:
        """The query of a leaderboard, and its further metrics; what no flag says is that of a suite's `board`.

        Raises:
            UserError: a flag has a wrong value.
        """
        from latentbench.reporting.query import Query

        if self.values_of not in ("auto", "runs", "summaries"):
            raise UserError("expected runs, summaries or auto", where=f"--from {self.values_of}")
        first, *others = _metrics(self.metric) or [board.metric if board else "nelbo"]
        of_board = board if board is not None and first == board.metric else None
        evaluation = self.evaluation or (of_board.evaluation if of_board else None)
        query = Query(
            first,
            _names(self.rows) or tuple(board.rows if board else ()),
            _names(self.columns) or tuple(board.columns if board and not self.rows else ()),
            self.split or (of_board.split if of_board else "validation"),
            self.index if self.index is not None or of_board is None else of_board.index,
            only_values(self.only or []),
            evaluations=frozenset({evaluation}) if evaluation else None,
            values_of=self.values_of,
        )
        return query, others


class Bar(StrEnum):
    """Intervals of leaderboards."""

    t = "t"
    paper = "paper"


class Adjusted(StrEnum):
    """How p-values are adjusted."""

    holm = "holm"
    bh = "bh"


@dataclass(frozen=True)
class StatisticsFlags:
    """How a leaderboard counts."""

    confidence: Annotated[float, typer.Option(metavar="SHARE", help="Confidence of intervals; tests are at the level 1 - SHARE.")] = 0.99
    bar: Annotated[Bar, typer.Option("--ci", help="Student t intervals, or the paper's bars.")] = Bar.t
    baseline: Annotated[str | None, typer.Option(metavar="KEY=VALUE,...", help="Compare every row with this one: family=gaussian,estimator=mc.")] = (
        None
    )
    adjust: Annotated[Adjusted, typer.Option(help="Adjust p-values by Holm, or by Benjamini and Hochberg as the paper does.")] = Adjusted.holm

    def statistics(self, board: Leaderboard | None = None) -> Statistics:
        """Intervals, tests and their family, which a suite's `board` may fix.

        Raises:
            UserError: a flag has a wrong value.
        """
        from latentbench.reporting.contrasts import Statistics

        of_suite = None if board is None or isinstance(board.comparisons, str) else board.comparisons.baseline
        given = None if self.baseline is None else _pairs(self.baseline)
        fixed = of_suite is not None and given in (None, of_suite)
        return Statistics(self.confidence, self.bar.value, self.adjust.value, of_suite if fixed else given, only_baseline=fixed)


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer takes it: every parameter that is a group of flags is replaced by the flags."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hints[name] for name in signature(command).parameters if is_dataclass(hints[name])}
    parameters = [flag for parameter in signature(command).parameters.values() for flag in _flags(parameter, hints[parameter.name])]

    @wraps(command)
    def call(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return call


def _flags(parameter: Parameter, kind: Any) -> list[Parameter]:
    """The parameter itself, or one for every field of its group."""
    if not is_dataclass(kind):
        return [parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=kind)]
    hints = get_type_hints(kind, include_extras=True)
    return [Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]) for field in fields(kind)]


def _pairs(text: str) -> dict[str, Any]:
    """`family=gaussian,estimator=mc` as a mapping."""
    found: dict[str, Any] = {}
    for pair in _names(text):
        name, _, value = pair.partition("=")
        if not (name and value) or name in found:
            raise UserError("expected key=value, or several with commas between", where=f"--baseline {shortened(text)}")
        (found[name],) = _parsed_values([value], f"--baseline {shortened(text)}")
    return found


def _metrics(text: str | None) -> list[str]:
    """Names with commas between; commas in brackets belong to options."""
    names, depth = [""], 0
    for character in text or "":
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            names.append("")
        else:
            names[-1] += character
    return [name.strip() for name in names if name.strip()]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _failure_kinds(text: str) -> frozenset[str]:
    from latentbench.failure import FailureKind

    names = frozenset(_names(text))
    for name in sorted(names - {"all", *FailureKind}):
        known = f"{nearest(name, list(FailureKind))}; known: all, {', '.join(FailureKind)}"
        raise UserError(f"unknown kind of failure '{name}'{known}", where=f"--retry {text}")
    return names


def _parsed(text: str, flag: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise UserError(str(error), where=f"{flag} {shortened(text)}") from error


def set_values(pairs: Sequence[str], flag: str) -> dict[str, Any]:
    """The values that a repeatable flag gives, by key.

    Raises:
        UserError: a text is not key=value, has several values, or a key is given twice.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        where = f"{flag} {shortened(pair)}"
        key, _, text = pair.partition("=")
        if not text:
            raise UserError("expected key=value", where=where)
        if key in values:
            raise UserError(f"{flag} {shortened(key)} is given twice")
        (values[key],) = _parsed_values([text], where)
        if isinstance(values[key], list):
            raise UserError("expected one value; lists are swept in suite files", where=where)
    return values


def only_values(pairs: Sequence[str]) -> dict[str, list[Any]]:
    """The values that `--only` allows, by key."""
    allowed: dict[str, list[Any]] = {}
    for pair in pairs:
        where = f"--only {shortened(pair)}"
        key, _, values = pair.partition("=")
        if not all(values.split(",")):
            raise UserError("expected key=value, or key=value,value", where=where)
        allowed.setdefault(key, []).extend(_parsed_values(values.split(","), where))
    return allowed


def _parsed_values(texts: Sequence[str], where: str) -> list[Any]:
    from latentbench.suites.yaml_source import parse_value

    try:
        return [parse_value(text) for text in texts]
    except UserError as error:
        raise error.at(where) from error
