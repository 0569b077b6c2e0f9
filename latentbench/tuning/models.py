"""What is searched of each model of a suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from latentbench.errors import UserError, written
from latentbench.registry import Registry
from latentbench.search import Choices, Range, Space
from latentbench.suites.expand import Changes
from latentbench.suites.labels import dotted
from latentbench.suites.resolve import InapplicableError, resolve, unknown_option
from latentbench.suites.settings import OPTION_OWNERS
from latentbench.suites.suite import Suite
from latentbench.suites.sweep import check_key, merged
from latentbench.suites.tune import Tuning
from latentbench.tuning.told_apart import Found, Named, check_told_apart, found_by_model, matches, named

PARTS = ("dataset", "likelihood", "decoder", "encoder", "family", "estimator")
"""The parts of a run: what a later one declares of a setting wins, as among `defaults`."""


@dataclass(frozen=True)
class Model(Named):
    """One model of a suite that is tuned.

    Args:
        settings: as of any `Named` model.
        matches: as of any `Named` model.
        space: what is tried of which settings: those that any of its runs reads.
        untuned: the values of these in the suite, where they are in the space.
        read: of some values, those that runs of the model in a sweep, given by its number, read together.
        possible: whether all of its runs can have some values together, each of which they can have alone.
    """

    space: Space
    untuned: Mapping[str, Any]
    read: Callable[[int, Mapping[str, Any]], dict[str, Any]] = field(compare=False)
    possible: Callable[[Mapping[str, Any]], bool] = field(compare=False)


def models_of(suite: Suite, tuning: Tuning, registry: Registry, device: str, changes: Changes) -> list[Model]:
    """The models of a suite that `changes` select, in its order.

    Raises:
        UserError: a searched setting has a value that it cannot have, or the suite compares values of it; or models cannot be told apart as written.
    """
    found = found_by_model(suite, tuning.models, registry, device, changes)
    models = [_model(runs, tuning, registry, device, changes) for runs in found]
    check_told_apart(models, tuning.where("models"))
    return models


def _model(runs: Sequence[Found], tuning: Tuning, registry: Registry, device: str, changes: Changes) -> Model:
    searched = list(_searched(runs, tuning, registry, device, changes))
    return Model(
        named(runs[0].resolved.run, tuning.models),
        matches(runs, tuning.models),
        {key: tried for key, tried, _ in searched},
        {key: value for key, tried, readers in searched if (value := _untuned(_unscaled(readers, registry, device), key, tried)) is not None},
        lambda number, settings: _read(settings, [run for run in runs if run.sweep == number], registry, device, changes.scale),
        lambda settings: all(_resolves(merged(run.point, settings), registry, device, changes.scale) for run in runs),
    )


def _searched(
    runs: Sequence[Found], tuning: Tuning, registry: Registry, device: str, changes: Changes
) -> Iterator[tuple[str, Range | Choices, Sequence[Found]]]:
    """Every setting that is searched of a model, in alphabetical order, what is tried of it, and the runs that read it."""
    for key, (tried, where) in sorted(_declared(runs, tuning, changes).items()):
        _check_setting(key, where, registry)
        readers = [run for run in runs if _reads(run, key, tried, where, registry, device, changes.scale)]
        if readers and not _compared(readers, key, key in tuning.space, where):
            yield key, tried, readers


def _declared(runs: Iterable[Found], tuning: Tuning, changes: Changes) -> dict[str, tuple[Range | Choices, str]]:
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


def _reads(run: Found, key: str, searched: Range | Choices, where: str, registry: Registry, device: str, scale: float) -> bool:
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


def _read(settings: Mapping[str, Any], runs: Iterable[Found], registry: Registry, device: str, scale: float) -> dict[str, Any]:
    """Those of some values, all tried at once, that one of the runs reads: one value may leave another without a meaning."""
    read = frozenset[str]().union(*(resolve(merged(run.point, settings), registry, device, scale).read for run in runs))
    return {key: value for key, value in settings.items() if key in read}


def _resolves(settings: Mapping[str, Any], registry: Registry, device: str, scale: float) -> bool:
    try:
        resolve(settings, registry, device, scale)
    except (InapplicableError, UserError):
        return False
    return True


def _compared(runs: Iterable[Found], key: str, of_suite: bool, where: str) -> bool:
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


def _unscaled(runs: Iterable[Found], registry: Registry, device: str) -> list[Found]:
    """Runs at their full length: what is tried of a duration is scaled as that of the suite is."""
    return [replace(run, resolved=resolve(run.point, registry, device)) for run in runs]


def _untuned(runs: Iterable[Found], key: str, searched: Range | Choices) -> Any:
    """The value that runs of a model have without tuning, as a member of what is tried; None where it is none."""
    return searched.member(next((value for run in runs if (value := _value(run, key)) is not None), None))


def _value(run: Found, key: str) -> Any:
    """A setting of a run, those at neutral values included."""
    outer, _, inner = key.partition(".")
    if outer in OPTION_OWNERS:
        options = run.resolved.assembly.options.get(OPTION_OWNERS[outer])
        return None if options is None else options.model_dump(mode="json").get(inner)
    return dotted(run.resolved.run).get(key)
