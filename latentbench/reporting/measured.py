"""What results folders have of the runs that a suite asks for: values by seed, and why some are missing."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite, nan
from pathlib import Path
from typing import Any

from latentbench.errors import UserError
from latentbench.numbers import same
from latentbench.reporting.expected import Measured, Settings, records_of, settings_of_row
from latentbench.reporting.extensions import derived_metric
from latentbench.reporting.query import Query
from latentbench.reporting.selecting import select
from latentbench.results.asked import Asked
from latentbench.results.lookup import stored
from latentbench.results.tables import SETTINGS

UNLIKE = ("training", "limit_data", "dtype", "device", "compile", "protocol", "plugins")
"""Settings in which runs that are not asked for may differ from those that are, when a message names them as the next best."""
MAX_DIFFERENCES = 3
MODEL = ("plugins", *SETTINGS)
"""The columns in which runs of one model agree."""
COLUMNS = ("run_id", "status", "started", "sources", *MODEL)
"""What is read of runs."""


@dataclass(frozen=True)
class Model:
    """A model that a suite asks for: its settings, and the ids of its runs by seed."""

    settings: Settings
    runs: Mapping[int, str]


@dataclass(frozen=True)
class Values:
    """What was measured of a model: finite values by seed, and how many seeds have none, for each reason.

    `other_source` counts values of runs that other source made than the newest run of their folder.
    """

    by_seed: Mapping[int, float] = field(default_factory=dict)
    failed: int = 0
    missing: int = 0
    unmeasured: int = 0
    not_finite: int = 0
    other_source: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Results:
    """Runs and metrics of results folders; of a run that several have, the first folder's."""

    runs: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[tuple[str, Measured], Mapping[str, float]]
    """Run and metric -> evaluation id -> value."""
    evaluations: Mapping[str, tuple[str, Settings]]
    derived: Mapping[tuple[str, Measured], float] = field(default_factory=dict)
    problems: Mapping[Measured, str] = field(default_factory=dict)
    """Why a metric cannot be derived."""

    @classmethod
    def read(cls, folders: Sequence[Path], asked: Asked, wanted: Collection[Measured]) -> Results:
        """The runs of the folders, and those metrics that are wanted.

        Raises:
            UserError: a folder has no results, or a file of it is damaged.
        """
        names = {measured.metric for measured in wanted}
        runs: dict[str, Mapping[str, Any]] = {}
        metrics: dict[tuple[str, Measured], dict[str, float]] = defaultdict(dict)
        evaluations: dict[str, tuple[str, Settings]] = {}
        for store in map(stored, folders):
            new = {row["run_id"]: row for row in records_of(store.read("runs", COLUMNS)) if row["run_id"] not in runs}
            runs |= new
            frame = store.read("metrics", ["run_id", "evaluation_id", "split", "metric", "index", "value"])
            for row in records_of(frame[frame["metric"].isin(names) & frame["run_id"].isin(new.keys() & asked.runs.keys())]):
                metrics[row["run_id"], Measured.of(row)][row["evaluation_id"]] = nan if row["value"] is None else float(row["value"])
            known = store.read("evaluations", ["evaluation", "evaluation_id", "options"]).drop_duplicates("evaluation_id")
            evaluations |= {row["evaluation_id"]: (str(row["evaluation"]), json.loads(row["options"] or "{}")) for row in records_of(known)}
        there = {measured.metric for _, measured in metrics}
        derived, problems = _derived(folders, asked, [measured for measured in wanted if measured.metric not in there])
        return cls(runs, metrics, evaluations, derived, problems)

    @cached_property
    def of_other_source(self) -> frozenset[str]:
        """Runs of which a source file has another hash than in the newest run that has it."""
        started: dict[str, str] = {}
        for row in self.runs.values():
            if isinstance(text := row["sources"], str):  # a failed run has none
                started[text] = max(str(row["started"]), started.get(text, ""))
        newest: dict[str, str] = {}
        for text in sorted(started, key=lambda text: started[text]):
            newest |= json.loads(text)
        other = {text for text in started if any(newest[name] != value for name, value in json.loads(text).items())}
        return frozenset(run_id for run_id, row in self.runs.items() if row["sources"] in other)

    def values(self, model: Model, asked: Asked, measured: Measured, evaluation: tuple[str, Settings] | None) -> Values:
        """What was measured of a model, by the evaluation that is asked for and is like the given one."""
        ids = {run_id: self._evaluated(run_id, asked, measured, evaluation) for run_id in model.runs.values()}
        several = sorted({i for found in ids.values() if len(found) > 1 for i in found})
        if several:
            return Values(problem=f"measured by several evaluations: {', '.join(asked.titles.get(i, i) for i in several)}")
        values = {seed: next(iter(found.values())) for seed, run_id in model.runs.items() if (found := ids[run_id])}
        without = Counter(self._outcome(run_id) for run_id, found in ids.items() if not found)
        by_seed = {seed: value for seed, value in values.items() if isfinite(value)}
        return Values(
            by_seed,
            without["failed"],
            without["missing"],
            without["done"],
            len(values) - len(by_seed),
            sum(model.runs[seed] in self.of_other_source for seed in by_seed),
        )

    def _outcome(self, run_id: str) -> str:
        return str(self.runs[run_id]["status"]) if run_id in self.runs else "missing"

    def _evaluated(self, run_id: str, asked: Asked, measured: Measured, evaluation: tuple[str, Settings] | None) -> Mapping[str, float]:
        """Evaluation id -> value, of the evaluations that the suite asks for and that measure as the published value was."""
        derived = self.derived.get((run_id, measured))
        if derived is not None:
            return {"": derived}
        wanted = asked.evaluations.get(run_id, frozenset())
        found = {i: value for i, value in self.metrics.get((run_id, measured), {}).items() if i in wanted}
        return {i: value for i, value in found.items() if evaluation is None or self._alike(i, evaluation)}

    def _alike(self, evaluation_id: str, published: tuple[str, Settings]) -> bool:
        """Whether an evaluation has the name of the published one, and no option that contradicts it."""
        name, options = self.evaluations.get(evaluation_id, (evaluation_id.rpartition("-")[0], {}))
        theirs_name, theirs = published
        return name == theirs_name and all(key not in options or same(options[key], value) for key, value in theirs.items())

    def nearest(self, model: Model) -> str:
        """What tells the runs that there are of a model apart from those that a suite asks for, in words; empty where there are none of it."""
        others = [settings for run_id, settings in self._by_model.get(_key(model.settings), ()) if run_id not in model.runs.values()]
        found = min((_differences(settings, model.settings) for settings in others), key=len, default=[])
        more = f" and {len(found) - MAX_DIFFERENCES} more" if len(found) > MAX_DIFFERENCES else ""
        return f"there are {len(others)} runs of another {', '.join(found[:MAX_DIFFERENCES])}{more}" if found else ""

    @cached_property
    def _by_model(self) -> Mapping[tuple[tuple[str, str], ...], Sequence[tuple[str, Settings]]]:
        found = defaultdict(list)
        for run_id, row in self.runs.items():
            settings = settings_of_row(row, MODEL)
            found[_key(settings)].append((run_id, settings))
        return found


def models_of(asked: Asked) -> list[Model]:
    """The models of a suite, whose runs differ in their seeds alone. Those that are trained on two kinds of device are two."""
    models: dict[tuple[Any, ...], tuple[Mapping[str, Any], dict[int, str]]] = {}
    for run_id, row in asked.runs.items():
        models.setdefault(tuple(row[name] for name in MODEL), (row, {}))[1][int(row["seed"])] = run_id
    return [Model(settings_of_row(row, MODEL), runs) for row, runs in models.values()]


def _key(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The settings that runs have in common with those that are trained in another way."""
    own = {name: value for name, value in settings.items() if name.partition(".")[0] not in UNLIKE}
    numbers = {name: f"{value:g}" for name, value in own.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
    return tuple(sorted({**{name: str(value) for name, value in own.items()}, **numbers}.items()))


def _differences(there: Settings, wanted: Settings) -> list[str]:
    """The settings in which two models differ, with both values."""
    names = sorted(there.keys() | wanted.keys())
    return [f"{name} ({there.get(name, 'none')}, not {wanted.get(name, 'none')})" for name in names if not same(there.get(name), wanted.get(name))]


def _derived(folders: Sequence[Path], asked: Asked, wanted: Iterable[Measured]) -> tuple[dict[tuple[str, Measured], float], dict[Measured, str]]:
    """Values of metrics that nothing measures and a plugin derives from those of the suite's runs, by run; and why some cannot be derived."""
    found: dict[tuple[str, Measured], float] = {}
    problems: dict[Measured, str] = {}
    for measured in wanted:
        if derived_metric(measured.metric) is None:
            continue
        index = float(measured.index) if measured.index else None
        evaluations = frozenset().union(*asked.evaluations.values())
        query = Query(measured.metric, (), (), measured.split, index, {}, frozenset(asked.runs), evaluations, "runs")
        try:
            rows = records_of(select(folders, query)[["run_id", "value"]])
        except UserError as error:  # is told as the reason why the value is not there
            problems[measured] = str(error)
        else:
            found |= {(row["run_id"], measured): float(row["value"]) for row in rows if row["run_id"] and row["value"] is not None}
    return found, problems
