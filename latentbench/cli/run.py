"""The command line. A command parses, calls one library function, and prints; torch is imported by the commands that need it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from latentbench import __version__
from latentbench.cli import completion
from latentbench.errors import UserError, nearest, shortened
from latentbench.numbers import parse_duration, parse_numbers

if TYPE_CHECKING:
    from latentbench.execution.work import Limits
    from latentbench.suites.expand import Changes
    from latentbench.suites.launch import Launch

app = typer.Typer(
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which latent distribution, trained with which gradient estimator, learns which representation.",
)


def _path(text: str | Path) -> Path:
    if str(text) == "":
        raise typer.BadParameter("expected a path, got nothing")
    return Path(text)


T = TypeVar("T")
DEFAULT_RESULTS = Path("results")
SuitePath = Annotated[Path, typer.Argument(metavar="SUITE", parser=_path, help="Suite file (YAML).")]
Results = Annotated[Path, typer.Option("--results", metavar="FOLDER", parser=_path, help="Where results are stored.")]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", autocompletion=completion.change, help="Change a setting of every run, as in training.batch_size=100."
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="KEY=VALUE", autocompletion=completion.change, help="Only runs with this value; several: key=a,b."),
]
Scale = Annotated[float, typer.Option("--scale", metavar="FACTOR", help="Multiply every duration: steps, epochs, warm-up, annealing.")]
LimitData = Annotated[float | None, typer.Option("--limit-data", metavar="SHARE", help="Use this share of every split.")]
Seeds = Annotated[str | None, typer.Option("--seeds", metavar="LIST", help="Seeds instead of the suite's, as in 1-3 or 1,5.")]
Gpus = Annotated[str | None, typer.Option("--gpus", metavar="GPUS", help="Run on these GPUs, as in 0-7 or 0,2; on a cluster: so many a job.")]
PerGpu = Annotated[str | None, typer.Option("--per-gpu", metavar="N|auto", help="Runs at a time on each GPU; auto: as many as its memory holds.")]
Cpus = Annotated[int | None, typer.Option("--cpus", metavar="N", help="Run N runs at a time, one thread each (default: one a core).")]
EngineName = Annotated[str | None, typer.Option("--engine", metavar="NAME", help="Where runs are executed; `latentbench list engines`.")]
Profile = Annotated[str | None, typer.Option("--profile", metavar="FILE", help="File with an `engine:` section, or its name in the configuration.")]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")]
TimeLimit = Annotated[str | None, typer.Option("--time-limit", metavar="DURATION", help="Longest time of a run, as in 90s, 30m or 12h.")]


class Which(StrEnum):
    """Which stored runs `--refresh` runs again, and on which `--accept` measures what is missing."""

    stale = "stale"


@app.callback(invoke_without_command=True)
def _main(context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"latentbench {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def run(
    suite: SuitePath,
    results: Results = DEFAULT_RESULTS,
    sets: Sets = None,
    only: Only = None,
    scale: Scale = 1.0,
    limit_data: LimitData = None,
    seeds: Seeds = None,
    gpus: Gpus = None,
    per_gpu: PerGpu = None,
    cpus: Cpus = None,
    engine: EngineName = None,
    profile: Profile = None,
    force: Annotated[bool, typer.Option("--force", help="Run everything again, finished or not.")] = False,
    retry: Annotated[
        str, typer.Option("--retry", metavar="KINDS", help="Run failed runs again: all, or kinds of failure, as in killed,timeout.")
    ] = "",
    fail_fast: FailFast = False,
    time_limit: TimeLimit = None,
    compile_: Annotated[bool, typer.Option("--compile", help="Compile the networks; the same as --set compile=true.")] = False,
    refresh: Annotated[Which | None, typer.Option("--refresh", help="Run again what code that has changed since has trained or measured.")] = None,
    accept: Annotated[Which | None, typer.Option("--accept", help="Measure what stale runs lack on their stored models, without training.")] = None,
) -> None:
    """Train and evaluate every run of a suite that is not done yet; end with its leaderboard."""
    from latentbench.runner import Selection, run_suite

    changes = _changes(sets, only, scale, limit_data, seeds, compile_)
    if accept and (refresh or force):
        raise UserError("--accept stale keeps the stored models, and --refresh stale and --force train them again: choose one")
    selection = Selection(force, _kinds(retry), refresh is not None, accept is not None)
    failed = run_suite(suite, results, _launch(engine, profile, gpus, per_gpu, cpus), changes, selection, _limits(time_limit, fail_fast))
    raise typer.Exit(1 if failed else 0)


@app.command()
def plan(
    suite: SuitePath,
    results: Results = DEFAULT_RESULTS,
    sets: Sets = None,
    only: Only = None,
    scale: Scale = 1.0,
    limit_data: LimitData = None,
    seeds: Seeds = None,
    gpus: Gpus = None,
    engine: EngineName = None,
    profile: Profile = None,
) -> None:
    """Print every run of a suite with its id, its state and the expected cost. Trains nothing."""
    from latentbench.reporting.plans import print_plan
    from latentbench.results.store import Store
    from latentbench.runner import planned

    made, _ = planned(suite, results, _launch(engine, profile, gpus), _changes(sets, only, scale, limit_data, seeds))
    print_plan(made, Store(results))


class Listed(StrEnum):
    """What `list` can list."""

    families = "families"
    estimators = "estimators"
    likelihoods = "likelihoods"
    networks = "networks"
    datasets = "datasets"
    evaluations = "evaluations"
    engines = "engines"
    runs = "runs"


@app.command("list")
def list_(
    kind: Annotated[Listed | None, typer.Argument(help="What to list; everything that plugins provide, if left out.")] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """List what plugins provide, and plugins that could not be loaded; or the stored runs."""
    from latentbench.reporting.plans import print_parts, print_runs

    if kind is Listed.runs:
        print_runs(results)
    else:
        print_parts(kind.value if kind else None)


@app.command()
def show(run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")], results: Results = DEFAULT_RESULTS) -> None:
    """Print all that is stored of one run: settings, outcome, metrics, where it comes from."""
    from latentbench.reporting.plans import print_run

    print_run(results, run)


@app.command()
def compare(
    results: Annotated[list[Path] | None, typer.Argument(metavar="[RESULTS]...", parser=_path, help="Results folders (default: results).")] = None,
    metric: Annotated[str, typer.Option(autocompletion=completion.metric, help="Metric in the cells.")] = "nelbo",
    rows: Annotated[
        str, typer.Option(metavar="SETTINGS", autocompletion=completion.names, help="Settings that name the rows, as in family,estimator.")
    ] = "",
    columns: Annotated[str, typer.Option(metavar="SETTINGS", autocompletion=completion.names, help="Settings that name the columns.")] = "",
    split: Annotated[str, typer.Option(help="Split that the metric was measured on.")] = "validation",
    index: Annotated[float | None, typer.Option(help="Index of the metric (a threshold, a sample size), where it has one.")] = None,
    evaluation: Annotated[str | None, typer.Option(help="Id of the evaluation, where a metric was measured by several.")] = None,
    only: Only = None,
    format_: Annotated[str, typer.Option("--format", help="A format of tabulate (simple, github, latex_booktabs, ...), or csv.")] = "simple",
    values_of: Annotated[str, typer.Option("--from", help="runs, summaries, or auto: summaries where a folder has some of the metric.")] = "auto",
) -> None:
    """Print a leaderboard: mean and 99 % interval over seeds of one metric, best first."""
    from latentbench.reporting import compare as compare_stores
    from latentbench.reporting.query import Query
    from latentbench.reporting.rendering import render

    if values_of not in ("auto", "runs", "summaries"):
        raise UserError(f"--from {values_of}: expected runs, summaries or auto")
    chosen = frozenset({evaluation}) if evaluation else None
    query = Query(metric, _names(rows), _names(columns), split, index, _only(only or []), evaluations=chosen, values_of=values_of)
    print(render(compare_stores(results or [DEFAULT_RESULTS], query), format_))


@app.command()
def status(results: Results = DEFAULT_RESULTS) -> None:
    """Print what became of the runs of a results folder, and which are being worked on, where, and how far they are."""
    from latentbench.reporting.plans import print_status
    from latentbench.reporting.status import status as read_status

    print_status(results, read_status(results))


@app.command()
def worker(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", parser=_path, help="Results folder.")] = DEFAULT_RESULTS,
    gpus: Gpus = None,
    per_gpu: PerGpu = None,
    cpus: Cpus = None,
    engine: EngineName = None,
    profile: Profile = None,
    fail_fast: FailFast = False,
    time_limit: TimeLimit = None,
) -> None:
    """Do queued runs of a results folder that other invocations have asked for, on this machine, until none is left."""
    from latentbench.execution.progress import Progress
    from latentbench.execution.worker import free_jobs, refused, work_off
    from latentbench.registry import load_registry
    from latentbench.suites.launch import choose_engine

    chosen = choose_engine(_launch(engine, profile, gpus, per_gpu, cpus), None, load_registry())
    chosen.check()
    with Progress() as progress:
        failed = work_off(results, chosen, progress.watch, _limits(time_limit, fail_fast))
    progress.summary(results)
    others = [job for job, _ in free_jobs(results) if job.run.device != chosen.device]
    if others:
        progress.say(f"{len(others)} queued runs are for another device than {chosen.device}")
    left = refused(results, chosen.device, load_registry())
    if left:
        raise UserError(f"{len(left)} queued runs are left to processes that have their code: {left[0].reason}")
    raise typer.Exit(1 if failed else 0)


@app.command()
def cancel(results: Results = DEFAULT_RESULTS) -> None:
    """Empty the queue of a results folder. Runs that are being worked on continue; no other is begun."""
    from latentbench.execution.queue import cancel as empty_queue

    cancelled = empty_queue(results)
    print(f"{results}: {cancelled.taken_back} runs taken back, {cancelled.continuing} that are being worked on continue")


@app.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="RESULTS...", parser=_path, help="Results folders.")],
    into: Annotated[Path, typer.Option("--into", metavar="FOLDER", parser=_path, help="A folder without results.")],
    tolerance: Annotated[float, typer.Option("--tolerance", help="Relative difference up to which metrics of one run agree.")] = 0.01,
) -> None:
    """Join results folders of several machines by run id; equal ids must have equal results, and where not, nothing is chosen."""
    from latentbench.results.merge import merge as merge_folders

    if not 0 <= tolerance < float("inf"):
        raise UserError(f"--tolerance {tolerance:g}: expected a number of at least 0")
    merged = merge_folders(sources, into, tolerance)
    print(f"{merged.runs} runs in {into}, {merged.shared} of them from several folders; {len(merged.conflicts)} conflicts")
    for run_id, why in merged.conflicts.items():
        print(f"conflict: run {run_id} was left out: {why}")
    for problem, taken in merged.damaged.items():
        print(f"damaged: {problem}: {f'{taken} was taken' if taken else 'no folder has a whole one'}")
    raise typer.Exit(1 if merged.conflicts or None in merged.damaged.values() else 0)


@app.command()
def compact(results: Results = DEFAULT_RESULTS) -> None:
    """Join the fragments of a results folder into few files, which are faster to read. No run is begun there meanwhile."""
    from latentbench.execution.compaction import compact as compact_folder

    print(f"{compact_folder(results)} files fewer in {results}")


data_app = typer.Typer(help="Source files of data sets: list, fetch or verify them.", no_args_is_help=True)
app.add_typer(data_app, name="data")
DataSets = Annotated[list[str] | None, typer.Argument(metavar="[DATASET]...", help="Data sets (default: all).")]


@data_app.command("list")
def data_list() -> None:
    """List data sets, and where their source files are."""
    from latentbench.data.fetch import listing
    from latentbench.registry import load_registry
    from latentbench.reporting.plans import print_table

    print_table(listing(load_registry()), ("data set", "image", "pixels", "labels", "protocols", "source files"))


@data_app.command("fetch")
def data_fetch(datasets: DataSets = None) -> None:
    """Find or download the source files, check them by their hashes, and prepare what is made of them."""
    from latentbench.data.fetch import fetch
    from latentbench.registry import load_registry

    for name in fetch(load_registry(), datasets or []):
        print(f"{name}: ready")


@data_app.command("verify")
def data_verify(datasets: DataSets = None) -> None:
    """Read every source file that is there and compare its hash with the published one. Downloads nothing."""
    from latentbench.data.fetch import verify
    from latentbench.registry import load_registry

    for name, outcome in verify(load_registry(), datasets or []):
        print(f"{name}: {outcome}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _kinds(text: str) -> frozenset[str]:
    from latentbench.execution.execute import FAILURE_KINDS

    names = frozenset(_names(text))
    for name in sorted(names - {"all", *FAILURE_KINDS}):
        raise UserError(f"--retry {text}: unknown kind of failure '{name}'{nearest(name, FAILURE_KINDS)}; known: all, {', '.join(FAILURE_KINDS)}")
    return names


def _launch(engine: str | None, profile: str | None, gpus: str | None, per_gpu: str | None = None, cpus: int | None = None) -> Launch:
    from latentbench.suites.launch import Launch

    flags = {"gpus": gpus, "per_gpu": per_gpu, "cpus": cpus}
    return Launch(engine, profile, {key: value for key, value in flags.items() if value is not None})


def _limits(time_limit: str | None, fail_fast: bool) -> Limits:
    from latentbench.execution.work import Limits

    return Limits(None if time_limit is None else _parsed(time_limit, "--time-limit", parse_duration), fail_fast)


def _parsed(text: str, flag: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise UserError(f"{flag} {shortened(text)}: {error}") from error


def _changes(
    sets: list[str] | None, only: list[str] | None, scale: float, limit_data: float | None, seeds: str | None, compile_: bool = False
) -> Changes:
    from latentbench.suites.expand import Changes

    if not 0 < scale < float("inf"):
        raise UserError(f"--scale {scale:g}: expected a number above 0")
    if limit_data is not None and not 0 < limit_data <= 1:
        raise UserError(f"--limit-data {limit_data:g}: expected a share, above 0 and at most 1")
    values = _settings(sets or [])
    for flag, key, given in (("--seeds", "seed", seeds), ("--limit-data", "limit_data", limit_data), ("--compile", "compile", compile_ or None)):
        if key in values and given is not None:
            raise UserError(f"--set {key} and {flag} are the same; give one of them")
    values |= {"compile": True} if compile_ else {}
    return Changes(values, _only(only or []), scale, limit_data, None if seeds is None else _parsed(seeds, "--seeds", parse_numbers))


def _settings(pairs: list[str]) -> dict[str, Any]:
    """What `--set` says, by key."""
    from latentbench.suites.yaml_source import parse_value

    values: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not text:
            raise UserError(f"--set {shortened(pair)}: expected key=value")
        if key in values:
            raise UserError(f"--set {shortened(key)} is given twice")
        try:
            values[key] = parse_value(text)
        except UserError as error:
            raise UserError(f"--set {shortened(pair)}: {error}") from error
        if isinstance(values[key], list):
            raise UserError(f"--set {shortened(pair)}: expected one value; lists are swept in suite files")
    return values


def _only(pairs: list[str]) -> dict[str, list[Any]]:
    """The values that `--only` allows, by key."""
    from latentbench.suites.yaml_source import parse_value

    only: dict[str, list[Any]] = {}
    for pair in pairs:
        key, sign, values = pair.partition("=")
        if not sign or not all(values.split(",")):
            raise UserError(f"--only {shortened(pair)}: expected key=value, or key=value,value")
        try:
            only.setdefault(key, []).extend(parse_value(value) for value in values.split(","))
        except UserError as error:
            raise UserError(f"--only {shortened(pair)}: {error}") from error
    return only
