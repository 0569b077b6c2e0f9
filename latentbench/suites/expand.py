"""From sweeps to runs: every combination is resolved, or the reason why it cannot be trained is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from latentbench.errors import MissingPluginError, UserError, flagged, shortened
from latentbench.numbers import same
from latentbench.registry import Registry
from latentbench.suites.labels import dotted
from latentbench.suites.resolve import InapplicableError, Resolved, resolve, unknown_option
from latentbench.suites.settings import MAX_SEED, digest
from latentbench.suites.sweep import Point, Sweep


@dataclass(frozen=True)
class Changes:
    """What the command line changes of a suite's runs. `seeds` None leaves the suite's. `only` selects by the settings of resolved runs."""

    sets: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    scale: float = 1.0
    limit_data: float | None = None
    seeds: Sequence[int] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The dotted settings that replace a sweep's own."""
        limit = {} if self.limit_data is None else {"limit_data": self.limit_data}
        seeds = {} if self.seeds is None else {"seed": list(self.seeds)}
        return {**self.sets, **limit, **seeds}

    @property
    def flags(self) -> dict[str, str]:
        """The flag that each of these settings comes from, for messages."""
        sets = {key: f"--set {key}={flagged(value)}" for key, value in self.sets.items()}
        limit = {} if self.limit_data is None else {"limit_data": f"--limit-data {self.limit_data:g}"}
        seeds = {} if self.seeds is None else {"seed": f"--seeds {shortened(','.join(map(str, self.seeds)))}"}
        return {**sets, **limit, **seeds}

    def __str__(self) -> str:
        """The flags that make these changes; empty where there are none."""
        only = [f"--only {key}={','.join(map(flagged, values))}" for key, values in self.only.items()]
        scale = [] if self.scale == 1 else [f"--scale {self.scale:g}"]
        return " ".join([*self.flags.values(), *only, *scale])


NO_CHANGES = Changes()


@dataclass(frozen=True)
class Unplanned:
    """A combination that is not trained. `missing_plugin` tells a plugin that could not be loaded from parts that do not go together."""

    settings: Mapping[str, Any]
    reason: str
    missing_plugin: bool = False

    @property
    def id(self) -> str:
        """An id for the row of failure."""
        return digest({"unplanned": {key: str(value) for key, value in self.settings.items()}})


@dataclass(frozen=True)
class Item:
    """One combination of a sweep, as written, and the run that it is or the reason why it is none."""

    point: Point
    outcome: Resolved | Unplanned

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Its settings, with those of the run, where there is one."""
        return {**self.point.settings, **(dotted(self.outcome.run) if isinstance(self.outcome, Resolved) else {})}


@dataclass(frozen=True)
class Expanded:
    """Every combination of a sweep, whatever is selected, and the settings that any of its runs reads."""

    items: Sequence[Item]
    read: frozenset[str]


def expand(sweep: Sweep, registry: Registry, device: str, changes: Changes) -> Expanded:
    """Resolve every combination of a sweep.

    Raises:
        UserError: a setting is wrong, is read by no run, or names a part that goes with no other of the sweep; the message says where it was given.
    """
    items: list[Item] = []
    served: set[tuple[str, str]] = set()
    refused: dict[tuple[str, str], str] = {}
    read: set[str] = set()
    resolved: dict[str, Resolved] = {}
    for point in sweep.points(changes.settings, changes.flags):
        try:
            alike = _but_for_seed(point)
            item = _of_other_seed(point, resolved.get(alike)) or _resolved(point, registry, device, changes.scale)
        except InapplicableError as error:
            refused.setdefault((error.part, str(point.settings.get(error.part))), f"{point.where(error.part)}: {error}")
            items.append(Item(point, Unplanned(point.settings, str(error))))
            continue
        except MissingPluginError as error:
            items.append(Item(point, Unplanned(point.settings, str(error), missing_plugin=True)))
            read |= sweep.explicit | sweep.defaults  # what the missing part would read is unknown
            continue
        items.append(Item(point, item))
        resolved.setdefault(alike, item)
        read |= item.read
        served |= {(part, str(point.settings.get(part))) for part in ("family", "estimator", "likelihood", "encoder", "decoder")}
    for part_and_value, reason in refused.items():
        if part_and_value not in served:
            raise UserError(f"{reason}; no run of the sweep can use it")
    check_read(sweep, sweep.explicit - read, registry, changes)
    return Expanded(items, frozenset(read))


def _of_other_seed(point: Point, like: Resolved | None) -> Resolved | None:
    """The run of a point out of one that differs in its seed alone, which no part is asked about; None where there is none, or no valid seed."""
    seed = point.settings.get("seed")
    if like is None or type(seed) is not int or not 0 <= seed < MAX_SEED:
        return None
    return replace(like, run=like.run.model_copy(update={"seed": seed}))


def _but_for_seed(point: Point) -> str:
    return repr(sorted((key, value) for key, value in point.settings.items() if key != "seed"))


def _resolved(point: Point, registry: Registry, device: str, scale: float) -> Resolved:
    """The run of a point; an error names the place where the wrong setting was given."""
    try:
        return resolve(point.settings, registry, device, scale)
    except MissingPluginError:
        raise
    except UserError as error:
        by_scale = scale != 1 and _resolves(point, registry, device)
        raise error.at(f"--scale {scale:g}" if by_scale else point.where(error.key)) from error


def _resolves(point: Point, registry: Registry, device: str) -> bool:
    try:
        resolve(point.settings, registry, device)
    except UserError:
        return False
    return True


def check_read(sweep: Sweep, unread: Iterable[str], registry: Registry, changes: Changes) -> None:
    """Refuse settings that nothing reads; where the command line changes settings, those that nothing could read."""
    for key in sorted(set(unread) - changes.settings.keys()):
        unknown = unknown_option(key, registry)
        if unknown or not changes.settings:
            raise UserError(unknown or f"no run of the sweep reads '{key}'", where=sweep.where(key))


def selected(item: Item, changes: Changes) -> bool:
    """Whether `--only` chooses it."""
    return all(any(same(item.settings.get(key), value) for value in values) for key, values in changes.only.items())
