"""The registry: every plugin's parts by kind and name, and the plugins that could not be loaded."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import TypeVar, cast

import pluggy

from latentbench import hookspecs
from latentbench.dataset import DataSet
from latentbench.engine import Engine
from latentbench.errors import MissingPluginError, UserError, unknown
from latentbench.estimator import Estimator
from latentbench.evaluation import Evaluation
from latentbench.family import Family
from latentbench.likelihood import Likelihood
from latentbench.network import Network
from latentbench.part import Part

INTERFACE = 1
"""Version of the hooks and contracts. A plugin module may say `latentbench_interface = 1`; another number than this is refused."""

KINDS: dict[str, type[Part]] = {
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

P = TypeVar("P", bound=Part)


@dataclass
class Registry:
    """What plugins provide. `broken` maps a plugin that could not be loaded to the reason."""

    parts: dict[str, dict[str, type[Part]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    providers: dict[type[Part], str] = field(default_factory=dict)
    modules: dict[str, ModuleType] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def get(self, kind: str, name: str) -> type[Part]:
        """The part of `kind` with `name`.

        Raises:
            MissingPluginError: nobody provides it, and some plugin could not be loaded.
            UserError: nobody provides it.
        """
        found = self.parts[kind].get(name)
        if found is not None:
            return found
        message = unknown(SINGULAR[kind], name, self.parts[kind])
        if self.broken:
            reasons = "; ".join(f"{plugin} ({reason})" for plugin, reason in sorted(self.broken.items()))
            raise MissingPluginError(f"{message}. Plugins that could not be loaded: {reasons}")
        raise UserError(message)

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
            raise UserError(f"{len(names)} engines say that they are the default{': ' if names else ''}{', '.join(names)}; name one with --engine")
        return names[0]

    def better(self) -> dict[str, str]:
        """Metric -> `lower` or `higher`, as the evaluations declare."""
        return {m: b for part in self.parts["evaluations"].values() for m, b in cast("type[Evaluation]", part).better.items()}

    def _add(self, kind: str, part: type[Part], plugin: str) -> None:
        if not (isinstance(part, type) and issubclass(part, KINDS[kind])):
            raise UserError(f"plugin '{plugin}': register_{kind} must return classes derived from {KINDS[kind].__name__}, got {part!r}")
        if not isinstance(getattr(part, "name", None), str):
            raise UserError(f"plugin '{plugin}': {part.__name__} has no `name`")
        other = self.parts[kind].get(part.name)
        if other is not None:
            raise UserError(f"two plugins register the {SINGULAR[kind]} '{part.name}': '{self.providers[other]}' and '{plugin}'; remove one of them")
        self.parts[kind][part.name] = part
        self.providers[part] = plugin


def build_registry(modules: Iterable[tuple[str, ModuleType]], broken: dict[str, str] | None = None) -> Registry:
    """The registry of plugin modules, given as (name, module).

    Raises:
        UserError: a misspelt hook, a wrong signature, a wrong return value, two parts of one name, or a plugin for another interface.
    """
    manager = pluggy.PluginManager("latentbench")
    manager.add_hookspecs(hookspecs)
    registry = Registry(broken=dict(broken or {}))
    for name, module in modules:
        wanted = getattr(module, "latentbench_interface", INTERFACE)
        if wanted != INTERFACE:
            registry.broken[name] = f"written for plugin interface {wanted}, this is {INTERFACE}"
            continue
        try:
            manager.register(module, name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            hooks = ", ".join(f"register_{kind}" for kind in KINDS)
            raise UserError(f"plugin '{name}': {' '.join(str(error).split())}; the hooks are {hooks}") from error
        registry.modules[name] = module
        _collect(registry, manager, name, module)
    return registry


def _collect(registry: Registry, manager: pluggy.PluginManager, name: str, module: ModuleType) -> None:
    """Call the module's hooks, all before any part is added: a plugin that fails half way through adds nothing."""
    found: list[tuple[str, type[Part]]] = []
    for kind in KINDS:
        hook = manager.subset_hook_caller(f"register_{kind}", [m for other, m in registry.modules.items() if other != name])
        try:
            answers = hook()
        except Exception as error:  # foreign code may fail in any way, and must not take the command line down
            registry.broken[name] = f"register_{kind} failed: {type(error).__name__}: {error}"
            return
        for answer in answers:
            if not isinstance(answer, (list, tuple)):
                raise UserError(f"plugin '{name}': register_{kind} must return a list of classes, got {answer!r}")
            found += [(kind, part) for part in answer]
    for kind, part in found:
        registry._add(kind, part, name)


@cache
def load_registry() -> Registry:
    """The registry of every installed plugin: the entry points of the group `latentbench`.

    A plugin that cannot be imported is noted in `broken`, and the others are loaded.

    Raises:
        UserError: as `build_registry`; or two distributions use one entry-point name.
    """
    owners: dict[str, str] = {}
    modules: list[tuple[str, ModuleType]] = []
    broken: dict[str, str] = {}
    for point in sorted(importlib.metadata.entry_points(group="latentbench"), key=lambda p: p.name):
        owner = point.dist.name if point.dist else "an unknown distribution"
        if point.name in owners and owners[point.name] != owner:
            raise UserError(f"two distributions register the plugin '{point.name}': '{owners[point.name]}' and '{owner}'; uninstall one of them")
        if point.name in owners:
            continue  # one distribution seen twice, as when a source tree is on the path and installed too
        owners[point.name] = owner
        try:
            modules.append((point.name, point.load()))
        except Exception as error:  # foreign code may fail in any way, and must not take the command line down
            broken[point.name] = f"{type(error).__name__}: {error}"
    return build_registry(modules, broken)
