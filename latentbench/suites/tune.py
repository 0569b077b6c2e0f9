"""The section `tune` of a suite file: what `latentbench tune` tries of every model, and what it measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from pydantic import Field

from latentbench.errors import UserError
from latentbench.part import Options
from latentbench.search import Range, Space, parse_searched
from latentbench.suites.dotted import check_at, dotted_settings
from latentbench.suites.fields import Asked, Seeds
from latentbench.suites.sweep import EvaluationSpec
from latentbench.suites.yaml_source import Place, Source

MAX_TRIALS = 10_000
FIRST_SEED = 101
"""The seed of tuning where the suite names none, or the next one that is none of the suite's own."""


class Tune(Options):
    """What `latentbench tune` tries of every model of the suite, and what it measures."""

    metric: str | None = Field(None, description="What is made as low or as high as can be, as the metric declares; the leaderboard's by default.")
    index: float | None = Field(None, description="Index of the metric (a threshold, a sample size), where it has one.")
    evaluations: list[Asked] = Field(min_length=1, description="What tuning measures, as in `evaluations`; never on the test split.")
    models: list[str] = Field(min_length=1, description="Settings whose values name the models: each gets a search of its own, of the same budget.")
    trials: int = Field(20, gt=0, le=MAX_TRIALS, description="Trials of every model, of which the first is the suite's own settings.")
    seeds: Seeds | None = Field(
        None, min_length=1, description="Seeds of every trial, whose mean is its value; none of the suite's. By default one: 101, or the next."
    )
    space: dict[str, Any] = Field(
        default_factory=dict,
        description="What is tried of settings, for every model that reads them: `{low: 1, high: 5}`, with `log: true` evenly in the logarithm, "
        "or `{choices: [1, 2, 5]}`. Parts add what they declare of their own options.",
    )


@dataclass(frozen=True)
class Tuning:
    """The section as it was read. `wheres` has the `file:line` of its keys, and of every setting of `space`; the empty key has the section's."""

    metric: str
    index: float | None
    evaluations: tuple[EvaluationSpec, ...]
    models: tuple[str, ...]
    trials: int
    seeds: tuple[int, ...]
    space: Space
    wheres: Mapping[str, str]

    def where(self, key: str = "") -> str:
        """The place of a key or of a searched setting; of one that is not written, that of the section."""
        return self.wheres.get(key) or self.wheres[""]


def read_tuning(section: Tune, metric: str | None, suite_seeds: Sequence[int], source: Source) -> Tuning:
    """What a section says, of a suite with these seeds, whose leaderboard has the `metric`.

    Raises:
        UserError: it names no metric, seeds of the suite, settings that there are not, or nothing that could be tried of one.
    """
    if section.metric is None and metric is None:
        raise UserError("'metric' is missing, and the suite has no leaderboard to take it from", where=source.where(("tune",)))
    for place, name in enumerate(section.models):
        check_at(source, ("tune", "models", place), name)
        if name == "seed":
            raise UserError("'seed' names no model: its runs have other seeds in tuning", where=source.where(("tune", "models", place)))
    space = dict(_space(section, source))
    if {"training.steps", "training.epochs"} <= space.keys():
        raise UserError("a run has one length: search training.steps or training.epochs", where=source.where(("tune", "space")))
    seeds = section.seeds or [next(seed for seed in count(FIRST_SEED) if seed not in suite_seeds)]
    check_seeds(seeds, suite_seeds, source.where(("tune", "seeds")))
    keys = {"": ("tune",), **{key: ("tune", key) for key in Tune.model_fields}, **{key: _place(section, key) for key in space}}
    evaluations = [
        EvaluationSpec(name, options, source.where(("tune", "evaluations", place)))
        for place, entry in enumerate(section.evaluations)
        for name, options in entry.items()
    ]
    return Tuning(
        section.metric or str(metric),
        section.index,
        tuple(evaluations),
        tuple(section.models),
        section.trials,
        tuple(seeds),
        space,
        {key: source.where(place) for key, place in keys.items()},
    )


def check_seeds(seeds: Sequence[int], suite_seeds: Sequence[int], where: str) -> None:
    """Refuse seeds of tuning that are the suite's own: settings chosen on a seed look better on it than on others.

    Raises:
        UserError: there are such.
    """
    if both := sorted({*seeds} & {*suite_seeds}):
        raise UserError(
            f"tuning seeds must not be seeds of the suite, and {', '.join(map(str, both))} is: settings look best on the seeds they were chosen on",
            where=where,
        )


def _space(section: Tune, source: Source) -> Iterator[tuple[str, Any]]:
    """Every searched setting, dotted, and what is tried of it."""
    for key, value in dotted_settings(section.space, source, ("tune", "space")).items():
        where = source.where(_place(section, key))
        if key == "seed" or key in section.models:
            why = "seeds are not tuned" if key == "seed" else "it tells the models apart, as `models` says"
            raise UserError(f"'{key}' cannot be searched: {why}", where=where)
        try:
            yield key, parse_searched(value)
        except ValueError as error:
            raise UserError(str(error), key=key, where=where) from error


def _place(section: Tune, key: str) -> Place:
    """Where the file says a searched setting, nested or with dots."""
    return ("tune", "space", *((key,) if key in section.space else key.split(".")))


def space_schema(values: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of `space`, for the settings of `values`."""
    number = {"type": "number"}
    ranges = {
        "type": "object",
        "properties": {"low": number, "high": number, "log": {"type": "boolean"}},
        "required": [name for name, field in Range.model_fields.items() if field.is_required()],
        "additionalProperties": False,
    }
    return {key: {"anyOf": [ranges, _choices(key)]} for key in values}


def _choices(key: str) -> dict[str, Any]:
    choices = {"type": "array", "items": {"$ref": f"#/$defs/value-{key}"}, "minItems": 2}
    return {"type": "object", "properties": {"choices": choices}, "required": ["choices"], "additionalProperties": False}
