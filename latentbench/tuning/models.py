"""The models of a suite, as its section `tune` tells them apart, and what is searched of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from latentbench.errors import UserError, written
from latentbench.registry import Registry
from latentbench.search import Choices, Range, Space
from latentbench.suites.expand import Changes, expand, selected
from latentbench.suites.labels import dotted, joined
from latentbench.suites.plan import Planned
from latentbench.suites.resolve import InapplicableError, Resolved, resolve, unknown_option
from latentbench.suites.settings import OPTION_OWNERS, Run
from latentbench.suites.suite import Suite
from latentbench.suites.sweep import check_key, merged
from latentbench.suites.tune import Tuning

PARTS = ("dataset", "likelihood", "decoder", "encoder", "family", "estimator")
"""The parts of a run: what a later one declares of a setting wins, as among `defaults`."""


@dataclass(frozen=True)
class Model:
    """One model of a suite.

    Args:
        settings: the settings that tell it from the others, of its runs; None where they do not read one.
        space: what is tried of which settings: those that any of its runs reads.
        untuned: the values of these in the suite, where they are in the space.
        matches: by the number of a sweep, the same settings as the sweep writes them, once for every way.
        read: of some values, those that runs of the model in a sweep, given by its number, read together.
        possible: whether all of its runs can have some values together, each of which they can have alone.
    """

    settings: Mapping[str, Any]
    space: Space
    untuned: Mapping[str, Any]
    matches: Mapping[int, tuple[Mapping[str, Any], ...]]
    read: Callable[[int, Mapping[str, Any]], dict[str, Any]] = field(compare=False)
    possible: Callable[[Mapping[str, Any]], bool] = field(compare=False)

    def __str__(self) -> str:
        return joined({name: str(value) for name, value in self.settings.items() if value is not None})

    @property
    def key(self) -> str:
        """Its settings as a text."""
        return json.dumps(dict(self.settings))


@dataclass(frozen=True)
class _Found:
    """A run of a model in one of the sweeps, and the settings that it was written with."""

    sweep: int
    point: Mapping[str, Any]
    resolved: Resolved


def models_of(suite: Suite, tuning: Tuning, registry: Registry, device: str, changes: Changes) -> list[Model]:
    """The models of a suite that `changes` select, in its order.

    Raises:
        UserError: a searched setting has a value that it cannot have, or the suite compares values of it; or models cannot be told apart as written.
    """
    found: dict[str, list[_Found]] = {}
    for number, sweep in enumerate(suite.sweeps):
        for item in expand(sweep, registry, device, changes).items:
            if isinstance(item.outcome, Resolved) and selected(item, changes):
                one = _Found(number, item.point.settings, item.outcome)
                found.setdefault(json.dumps(_named(item.outcome.run, tuning.models)), []).append(one)
    models = [_model(runs, tuning, registry, device, changes) for runs in found.values()]
    _check_told_apart(models, tuning)
    return models


def runs_of(models: Iterable[Model], tuning: Tuning, runs: Iterable[Planned]) -> list[list[Planned]]:
    """The runs of every model, out of those of a plan."""
    found: dict[str, list[Planned]] = {model.key: [] for model in models}
    for item in runs:
        found.get(json.dumps(_named(item.run, tuning.models)), []).append(item)
    return list(found.values())


def _model(runs: Sequence[_Found], tuning: Tuning, registry: Registry, device: str, changes: Changes) -> Model:
    searched = list(_searched(runs, tuning, registry, device, changes))
    sweeps = sorted({run.sweep for run in runs})
    return Model(
        _named(runs[0].resolved.run, tuning.models),
        {key: tried for key, tried, _ in searched},
        {key: value for key, tried, readers in searched if (value := _untuned(_unscaled(readers, registry, device), key, tried)) is not None},
        {number: _matches(runs, number, tuning.models) for number in sweeps},
        lambda number, settings: _read(settings, [run for run in runs if run.sweep == number], registry, device, changes.scale),
        lambda settings: all(_resolves(merged(run.point, settings), registry, device, changes.scale) for run in runs),
    )


def _searched(
    runs: Sequence[_Found], tuning: Tuning, registry: Registry, device: str, changes: Changes
) -> Iterator[tuple[str, Range | Choices, Sequence[_Found]]]:
    """Every setting that is searched of a model, in alphabetical order, what is tried of it, and the runs that read it."""
    for key, (tried, where) in sorted(_declared(runs, tuning, changes).items()):
        _check_setting(key, where, registry)
        readers = [run for run in runs if _reads(run, key, tried, where, registry, device, changes.scale)]
        if readers and not _compared(readers, key, key in tuning.space, where):
            yield key, tried, readers


def _declared(runs: Iterable[_Found], tuning: Tuning, changes: Changes) -> dict[str, tuple[Range | Choices, str]]:
    """What the suite has searched, and over that what the parts of these runs declare, with the place of each; not what flags or models fix."""
    found: dict[str, tuple[Range | Choices, str]] = {}
    for run in runs:
        for setting in PARTS:
            part = getattr(run.resolved.assembly, setting)
            found |= {key: (one, f"search of {setting} '{part.name}'") for key, one in getattr(part, "search", {}).items()}
    found |= {key: (one, tuning.where(key)) for key, one in tuning.space.items()}
    return {key: one for key, one in found.items() if key not in changes.settings and key not in (*tuning.models, "seed")}


def _check_setting(key: str, where: str, registry: Registry) -> None:
    """Refuse what is no setting of any run."""
    try:
        check_key(key)
    except UserError as error:
        raise error.at(where) from error
    if unknown := unknown_option(key, registry):
        raise UserError(unknown, where=where)


def _reads(run: _Found, key: str, searched: Range | Choices, where: str, registry: Registry, device: str, scale: float) -> bool:
    """Whether a run reads a searched setting, at any of its values.

    Raises:
        UserError: it cannot have one of them.
    """
    read = False
    for value in searched.examples:
        try:
            read |= key in resolve(merged(run.point, {key: value}), registry, device, scale).read
        except InapplicableError as error:
            raise UserError(f"'{key}' at {written(value)} does not go with {run.resolved.run.about}: {error}", where=where) from error
        except UserError as error:
            raise UserError(f"{error.problem} ({run.resolved.run.about})", key=error.key, where=where) from error
    return read


def _read(settings: Mapping[str, Any], runs: Iterable[_Found], registry: Registry, device: str, scale: float) -> dict[str, Any]:
    """Those of some values, all tried at once, that one of the runs reads: one value may leave another without a meaning."""
    read = frozenset[str]().union(*(resolve(merged(run.point, settings), registry, device, scale).read for run in runs))
    return {key: value for key, value in settings.items() if key in read}


def _resolves(settings: Mapping[str, Any], registry: Registry, device: str, scale: float) -> bool:
    try:
        resolve(settings, registry, device, scale)
    except (InapplicableError, UserError):
        return False
    return True


def _compared(runs: Iterable[_Found], key: str, of_suite: bool, where: str) -> bool:
    """Whether the runs of a model differ in a setting: the suite compares its values, and a search would replace them by one.

    Raises:
        UserError: the suite itself has it searched.
    """
    values = list({json.dumps(_value(run, key)): _value(run, key) for run in runs}.values())
    if len(values) > 1 and of_suite:
        told = ", ".join(map(written, values))
        raise UserError(
            f"'{key}' cannot be searched: runs of one model have {told}; add what tells them apart to `models`, or leave it out", where=where
        )
    return len(values) > 1


def _unscaled(runs: Iterable[_Found], registry: Registry, device: str) -> list[_Found]:
    """Runs at their full length: what is tried of a duration is scaled as that of the suite is."""
    return [replace(run, resolved=resolve(run.point, registry, device)) for run in runs]


def _untuned(runs: Iterable[_Found], key: str, searched: Range | Choices) -> Any:
    """The value that runs of a model have without tuning, as a member of what is tried; None where it is none."""
    return searched.member(next((value for run in runs if (value := _value(run, key)) is not None), None))


def _value(run: _Found, key: str) -> Any:
    """A setting of a run, those at neutral values included."""
    outer, _, inner = key.partition(".")
    if outer in OPTION_OWNERS:
        options = run.resolved.assembly.options.get(OPTION_OWNERS[outer])
        return None if options is None else options.model_dump(mode="json").get(inner)
    return dotted(run.resolved.run).get(key)


def _named(run: Run, names: Iterable[str]) -> dict[str, Any]:
    settings = dotted(run)
    return {name: settings.get(name) for name in names}


def _matches(runs: Iterable[_Found], sweep: int, names: Iterable[str]) -> tuple[Mapping[str, Any], ...]:
    """The settings of some names as one sweep writes them for these runs, each combination once."""
    written_as = [{name: run.point.get(name) for name in names} for run in runs if run.sweep == sweep]
    return tuple({json.dumps(match): match for match in written_as}.values())


def _check_told_apart(models: list[Model], tuning: Tuning) -> None:
    """Refuse models that are written alike: settings of one would be those of the other."""
    seen: dict[tuple[int, str], Model] = {}
    for model, number, match in _all_matches(models):
        other = seen.setdefault((number, json.dumps(match)), model)
        if other is not model:
            raise UserError(
                f"the sweep writes {model} and {other} alike in these settings; name one in `models` that it writes and that tells them apart",
                where=tuning.where("models"),
            )


def _all_matches(models: Iterable[Model]) -> Iterator[tuple[Model, int, Mapping[str, Any]]]:
    for model in models:
        for number, matches in model.matches.items():
            yield from ((model, number, match) for match in matches)
