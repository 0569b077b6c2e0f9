"""The registry: every plugin's parts by kind and name, and the plugins that could not be loaded."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import cast

import pluggy

from latentbench import hookspecs
from latentbench.data.dataset import DataSet
from latentbench.declared import problem
from latentbench.engine import Engine
from latentbench.errors import MissingPluginError, UserError, nearest, unknown
from latentbench.evaluation.contract import Evaluation
from latentbench.measure import Measure
from latentbench.models.estimator import Estimator
from latentbench.models.family import Family
from latentbench.models.likelihood import Likelihood
from latentbench.models.network import Network
from latentbench.part import Registered

INTERFACE = 1
"""Version of the hooks and contracts. A plugin module may say `latentbench_interface = 1`; another number than this is refused."""

KINDS: dict[str, type[Registered]] = {
    "families": Family,
    "estimators": Estimator,
    "likelihoods": Likelihood,
    "networks": Network,
    "datasets": DataSet,
    "evaluations": Evaluation,
    "engines": Engine,
}
SINGULAR = {
    "families": "family",
    "estimators": "estimator",
    "likelihoods": "likelihood",
    "networks": "network",
    "datasets": "data set",
    "evaluations": "evaluation",
    "engines": "engine",
}

DISABLE = "LATENTBENCH_DISABLE"
"""The environment variable that lists plugins to be left out."""
FOREIGN = (Exception, SystemExit)
"""What foreign code may raise when it is loaded: that must not take the command line down."""


@dataclass
class Registry:
    """What plugins provide. Names of plugins are those of their entry points.

    `broken` maps a plugin that cannot be used to the reason: none of its parts is here. `clashes` maps a kind and a name to the plugins that
    register it: none of these parts is here either, as one would be chosen by chance. `disabled` are the plugins that LATENTBENCH_DISABLE leaves out.
    """

    parts: dict[str, dict[str, type[Registered]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    providers: dict[type[Registered], str] = field(default_factory=dict)
    modules: dict[str, ModuleType] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    clashes: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    disabled: tuple[str, ...] = ()

    def get(self, kind: str, name: str) -> type[Registered]:
        """The part of `kind` with `name`.

        Raises:
            MissingPluginError: no plugin provides it and some plugin is broken, or several provide it.
            UserError: no plugin provides it.
        """
        found = self.parts[kind].get(name)
        if found is not None:
            return found
        if (kind, name) in self.clashes:
            raise MissingPluginError(self._clash(kind, name))
        message = unknown(SINGULAR[kind], name, self.parts[kind])
        if self.disabled:
            message += f". Plugins that {DISABLE} leaves out: {', '.join(self.disabled)}"
        raise self._missing(message)

    def problems(self) -> list[str]:
        """A line about every plugin that is broken, and about every name that several plugins register."""
        broken = [f"plugin '{plugin}' is left out: {reason}" for plugin, reason in sorted(self.broken.items())]
        return broken + [self._clash(kind, name) for kind, name in sorted(self.clashes)]

    def _clash(self, kind: str, name: str) -> str:
        plugins = self.clashes[kind, name]
        return f"plugins {' and '.join(map(repr, plugins))} register the {SINGULAR[kind]} '{name}', so it is left out: {_choose(plugins)}"

    def _missing(self, message: str) -> UserError:
        """The error for something that no plugin provides; a broken one might."""
        if not self.broken:
            return UserError(message)
        reasons = "; ".join(f"{plugin} ({reason})" for plugin, reason in sorted(self.broken.items()))
        return MissingPluginError(f"{message}. Plugins that could not be loaded: {reasons}")

    def family(self, name: str) -> type[Family]:
        """The family with `name`."""
        return cast("type[Family]", self.get("families", name))

    def estimator(self, name: str) -> type[Estimator]:
        """The estimator with `name`."""
        return cast("type[Estimator]", self.get("estimators", name))

    def likelihood(self, name: str) -> type[Likelihood]:
        """The likelihood with `name`."""
        return cast("type[Likelihood]", self.get("likelihoods", name))

    def network(self, name: str) -> type[Network]:
        """The network with `name`."""
        return cast("type[Network]", self.get("networks", name))

    def dataset(self, name: str) -> type[DataSet]:
        """The data set with `name`."""
        return cast("type[DataSet]", self.get("datasets", name))

    def evaluation(self, name: str) -> type[Evaluation]:
        """The evaluation with `name`."""
        return cast("type[Evaluation]", self.get("evaluations", name))

    def engine(self, name: str) -> type[Engine]:
        """The engine with `name`."""
        return cast("type[Engine]", self.get("engines", name))

    def default_engine(self) -> str:
        """The name of the engine that says that it is the default.

        Raises:
            UserError: none does, or several do.
        """
        names = sorted(name for name, part in self.parts["engines"].items() if cast("type[Engine]", part).default)
        if len(names) != 1:
            raise self._missing(
                f"{len(names)} engines say that they are the default{': ' if names else ''}{', '.join(names)}; name one with --engine"
            )
        return names[0]

    def better(self) -> dict[str, str]:
        """Metric -> `lower` or `higher`, where evaluations or families declare one."""
        return {name: measure.better for name, measure in self.declarations().items() if measure.better is not None}

    def declarations(self) -> dict[str, Measure]:
        """Metric -> what the evaluations and families declare of it."""
        costs = [cast("type[Family]", part).measures for part in self.parts["families"].values()]
        measured = [cast("type[Evaluation]", part).metrics for part in self.parts["evaluations"].values()]
        return {name: measure for declared in (*costs, *measured) for name, measure in declared.items()}


def build_registry(modules: Iterable[tuple[str, ModuleType]], broken: Mapping[str, str] | None = None) -> Registry:
    """The registry of plugin modules, given as (name, module).

    A plugin that breaks a rule is quarantined: it is in `broken` with the reason, and none of its parts is registered. The rules: hooks have the
    right names and signatures, do not raise, and return lists of parts; parts are complete (`latentbench.declared`), each of a name of its own; a
    plugin that says for which interface it is written names this one.
    """
    registry = Registry(broken=dict(broken or {}))
    found: dict[tuple[str, str], list[tuple[str, type[Registered]]]] = {}
    for plugin, module in modules:
        registry.modules[plugin] = module
        try:
            mine = _parts(plugin, module)
        except _BrokenRuleError as error:
            registry.broken[plugin] = str(error)
            continue
        for key, part in mine.items():
            found.setdefault(key, []).append((plugin, part))
    for (kind, name), candidates in found.items():
        if len(candidates) > 1:
            registry.clashes[kind, name] = sorted(plugin for plugin, _ in candidates)
            continue
        plugin, part = candidates[0]
        registry.parts[kind][name] = part
        registry.providers[part] = plugin
    return registry


class _BrokenRuleError(Exception):
    """A plugin breaks a rule; the message says which."""


def _parts(plugin: str, module: ModuleType) -> dict[tuple[str, str], type[Registered]]:
    """The parts that a module registers, by kind and name.

    Raises:
        _BrokenRuleError: the module breaks a rule.
    """
    wanted = getattr(module, "latentbench_interface", INTERFACE)
    if wanted != INTERFACE:
        raise _BrokenRuleError(f"written for plugin interface {wanted}, this is {INTERFACE}")
    manager = pluggy.PluginManager("latentbench")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, plugin)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _BrokenRuleError(f"{' '.join(str(error).split())}; the hooks are {', '.join(f'register_{kind}' for kind in KINDS)}") from error
    found: dict[tuple[str, str], type[Registered]] = {}
    for kind, base in KINDS.items():
        hook = f"register_{kind}"
        if callable(getattr(module, hook, None)) and not getattr(manager.hook, hook).get_hookimpls():
            raise _BrokenRuleError(f"{hook} is not marked with @hookimpl, and would not be called")
        for part in _called(manager, hook):
            broken = problem(part, base)
            if broken is not None:
                raise _BrokenRuleError(f"{hook}: {broken}")
            if (kind, part.name) in found:
                raise _BrokenRuleError(f"{hook} returns two parts named '{part.name}'")
            found[kind, part.name] = part
    return found


def _called(manager: pluggy.PluginManager, hook: str) -> list[type[Registered]]:
    """What a plugin's hook returns; nothing where it has none."""
    caller = getattr(manager.hook, hook)
    try:
        answers = caller()
    except FOREIGN as error:
        raise _BrokenRuleError(f"{hook} failed: {type(error).__name__}: {error}") from error
    for answer in answers or [None] * len(caller.get_hookimpls()):  # pluggy drops None
        if not isinstance(answer, (list, tuple)):
            raise _BrokenRuleError(f"{hook} must return a list of classes, got {answer!r}")
    return [part for answer in answers for part in answer]


@cache
def load_registry() -> Registry:
    """The registry of every installed plugin: the entry points of the group `latentbench`, less those that LATENTBENCH_DISABLE names.

    That is a list, separated by commas, of plugins or of distributions. A plugin that cannot be imported, or breaks a rule (`build_registry`), is
    noted in `broken`, the others are loaded. What is wrong is said on stderr, once, and not by the processes that execute runs.

    Raises:
        UserError: LATENTBENCH_DISABLE names what is not installed.
    """
    points = {(point.name, point.dist.name if point.dist else "?"): point for point in importlib.metadata.entry_points(group="latentbench")}
    disabled = _disabled(points)
    owners: dict[str, list[str]] = {}
    for plugin, distribution in sorted(points):
        if not disabled & {plugin, distribution}:
            owners.setdefault(plugin, []).append(distribution)
    modules: list[tuple[str, ModuleType]] = []
    broken: dict[str, str] = {}
    for plugin, distributions in owners.items():
        if len(distributions) > 1:
            broken[plugin] = f"distributions {' and '.join(map(repr, distributions))} register it: {_choose(distributions)}"
            continue
        try:
            modules.append((plugin, points[plugin, distributions[0]].load()))
        except FOREIGN as error:
            broken[plugin] = f"{type(error).__name__}: {error}"
    registry = build_registry(modules, broken)
    registry.disabled = tuple(sorted({plugin for plugin, _ in points} - owners.keys()))
    if multiprocessing.parent_process() is None:
        for line in registry.problems():
            print(f"warning: {' '.join(line.split())}", file=sys.stderr)
    return registry


def _disabled(points: Iterable[tuple[str, str]]) -> set[str]:
    """What LATENTBENCH_DISABLE names."""
    named = {name.strip() for name in os.environ.get(DISABLE, "").split(",")} - {""}
    known = {name for point in points for name in point}
    for name in sorted(named - known):
        raise UserError(
            f"{DISABLE}: no plugin and no distribution with plugins is named '{name}'{nearest(name, known)}; there are {', '.join(sorted(known))}"
        )
    return named


def _choose(names: Sequence[str]) -> str:
    """How to have one of several."""
    return f"uninstall {'one' if len(names) == 2 else 'all but one'}, or leave it out with {DISABLE}={names[-1]}"
