"""Loading plugins: entry points, hooks, and the quarantine of what breaks a rule. It knows no kind of part.

A group of entry points has hooks, one a kind of part, and rules that its parts keep (`Group`).
"""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType

import pluggy

from latentbench.errors import MissingPluginError, UserError, nearest, unknown
from latentbench.part import Options, Registered

INTERFACE = 1
"""Version of the hooks and contracts, raised when a plugin that is written for them would break. A module may say `latentbench_interface = 1`, the
version that it is written for; another than this is refused."""
DISABLE = "LATENTBENCH_DISABLE"
"""The environment variable that lists plugins to be left out."""
GROUPS = ("latentbench", "latentbench.reporting")
"""The groups of entry points that plugins may be in."""
FOREIGN = (Exception, SystemExit)
"""What foreign code may raise when it is loaded: that must not take the command line down."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]{0,63}")
"""Names stand in suites, in comma-separated lists on the command line, and in names of files."""


@dataclass(frozen=True)
class Kind:
    """A kind of part: its base class, which is the contract, and what one of them is called."""

    base: type[Registered]
    singular: str


@dataclass(frozen=True)
class Group:
    """What a group of entry points can add: a hook `register_<kind>` for every kind, and the first rule that a part breaks, as a clause, or None."""

    hooks: ModuleType
    kinds: Mapping[str, Kind]
    problem: Callable[[object, type[Registered]], str | None]


@dataclass
class Loaded:
    """What plugins provide. Names of plugins are those of their entry points.

    `broken` maps a plugin that cannot be used to the reason: none of its parts is here. `clashes` maps a kind and a name to the plugins that
    register it: none of these parts is here either, as one would be chosen by chance. `disabled` are the plugins that LATENTBENCH_DISABLE leaves out.
    """

    kinds: Mapping[str, Kind]
    parts: dict[str, dict[str, type[Registered]]] = field(default_factory=dict)
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
        message = unknown(self.kinds[kind].singular, name, self.parts[kind])
        if self.disabled:
            message += f". Plugins that {DISABLE} leaves out: {', '.join(self.disabled)}"
        raise self.missing(message)

    def problems(self) -> list[str]:
        """A line about every plugin that is broken, and about every name that several plugins register."""
        broken = [f"plugin '{plugin}' is left out: {reason}" for plugin, reason in sorted(self.broken.items())]
        return broken + [self._clash(kind, name) for kind, name in sorted(self.clashes)]

    def _clash(self, kind: str, name: str) -> str:
        plugins = self.clashes[kind, name]
        return f"plugins {' and '.join(map(repr, plugins))} register the {self.kinds[kind].singular} '{name}', so it is left out: {_choose(plugins)}"

    def missing(self, message: str) -> UserError:
        """The error for something that no plugin provides; a broken one might."""
        if not self.broken:
            return UserError(message)
        reasons = "; ".join(f"{plugin} ({reason})" for plugin, reason in sorted(self.broken.items()))
        return MissingPluginError(f"{message}. Plugins that could not be loaded: {reasons}")


def registered_problem(part: object, base: type[Registered]) -> str | None:
    """The first rule of all registered classes that a part derived from `base` breaks, as a clause that follows its name; None where it keeps all."""
    if not (isinstance(part, type) and issubclass(part, base)):
        return f"{part!r} is not a class derived from {base.__name__}"
    return next((f"{part.__name__} {broken}" for broken in _broken(part)), None)


def _broken(part: type[Registered]) -> Iterable[str]:
    name = getattr(part, "name", None)
    if name is None:
        yield "has no `name`"
    elif not (isinstance(name, str) and NAME.fullmatch(name)):
        yield f"has the name {name!r}; a name is a letter, then up to 63 letters, digits, '_', '.', '+' or '-'"
    missing = sorted(getattr(part, "__abstractmethods__", ()))
    if missing:
        yield f"does not implement {', '.join(missing)}"
    if not (isinstance(part.options_model, type) and issubclass(part.options_model, Options)):
        yield f"has the options_model {part.options_model!r}; it must be a class derived from latentbench.api.Options"


def fill(loaded: Loaded, modules: Iterable[tuple[str, ModuleType]], group: Group) -> None:
    """Register the parts of plugin modules, given as (name, module).

    A plugin that breaks a rule is quarantined: it is in `broken` with the reason, and none of its parts is registered. The rules: hooks have the
    right names and signatures, do not raise, and return lists of parts; parts are complete (`Group.problem`), each of a name of its own; a
    plugin that says for which interface it is written names this one.
    """
    loaded.parts.update({kind: {} for kind in group.kinds})
    found: dict[tuple[str, str], list[tuple[str, type[Registered]]]] = {}
    for plugin, module in modules:
        loaded.modules[plugin] = module
        try:
            mine = _parts(plugin, module, group)
        except _BrokenRuleError as error:
            loaded.broken[plugin] = str(error)
            continue
        for key, part in mine.items():
            found.setdefault(key, []).append((plugin, part))
    for (kind, name), candidates in found.items():
        if len(candidates) > 1:
            loaded.clashes[kind, name] = sorted(plugin for plugin, _ in candidates)
            continue
        plugin, part = candidates[0]
        loaded.parts[kind][name] = part
        loaded.providers[part] = plugin


class _BrokenRuleError(Exception):
    """A plugin breaks a rule; the message says which."""


def _parts(plugin: str, module: ModuleType, group: Group) -> dict[tuple[str, str], type[Registered]]:
    """The parts that a module registers, by kind and name.

    Raises:
        _BrokenRuleError: the module breaks a rule.
    """
    _check_interface(getattr(module, "latentbench_interface", INTERFACE))
    manager = pluggy.PluginManager("latentbench")
    manager.add_hookspecs(group.hooks)
    try:
        manager.register(module, plugin)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _BrokenRuleError(f"{' '.join(str(error).split())}; the hooks are {', '.join(f'register_{kind}' for kind in group.kinds)}") from error
    found: dict[tuple[str, str], type[Registered]] = {}
    for kind, of in group.kinds.items():
        hook = f"register_{kind}"
        if callable(getattr(module, hook, None)) and not getattr(manager.hook, hook).get_hookimpls():
            raise _BrokenRuleError(f"{hook} is not marked with @hookimpl, and would not be called")
        for part in _called(manager, hook):
            broken = group.problem(part, of.base)
            if broken is not None:
                raise _BrokenRuleError(f"{hook}: {broken}")
            if (kind, part.name) in found:
                raise _BrokenRuleError(f"{hook} returns two parts named '{part.name}'")
            found[kind, part.name] = part
    return found


def _check_interface(wanted: object) -> None:
    """Refuse a plugin that is written for another version of the hooks and contracts."""
    if type(wanted) is not int or wanted < 1:
        raise _BrokenRuleError(
            f"it says latentbench_interface = {wanted!r}; that is the number of a plugin interface, as in latentbench_interface = {INTERFACE}"
        )
    if wanted != INTERFACE:
        newer = "a newer" if wanted > INTERFACE else "an older"
        install = f"install {newer} latentbench, or a version of the plugin for interface {INTERFACE}"
        raise _BrokenRuleError(f"it is written for plugin interface {wanted}, and this latentbench has interface {INTERFACE}: {install}")


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


def load(name: str, group: Group, loaded: Loaded) -> None:
    """Load every installed plugin of a group: its entry points, less those that LATENTBENCH_DISABLE names.

    That is a list, separated by commas, of plugins or of distributions. A plugin that cannot be imported, or breaks a rule (`fill`), is
    noted in `broken`, the others are loaded. What is wrong is said on stderr, once, and not by the processes that execute runs.

    Raises:
        UserError: LATENTBENCH_DISABLE names what is not installed.
    """
    points = _points(name)
    disabled = _disabled({point for each in GROUPS for point in _points(each)})
    owners: dict[str, list[str]] = {}
    for plugin, distribution in sorted(points):
        if not disabled & {plugin, distribution}:
            owners.setdefault(plugin, []).append(distribution)
    modules: list[tuple[str, ModuleType]] = []
    for plugin, distributions in owners.items():
        if len(distributions) > 1:
            loaded.broken[plugin] = f"distributions {' and '.join(map(repr, distributions))} register it: {_choose(distributions)}"
            continue
        try:
            modules.append((plugin, points[plugin, distributions[0]].load()))
        except FOREIGN as error:
            loaded.broken[plugin] = f"{type(error).__name__}: {error}"
    fill(loaded, modules, group)
    loaded.disabled = tuple(sorted({plugin for plugin, _ in points} - owners.keys()))
    if multiprocessing.parent_process() is None:
        for line in loaded.problems():
            print(f"warning: {' '.join(line.split())}", file=sys.stderr)


def _points(group: str) -> dict[tuple[str, str], importlib.metadata.EntryPoint]:
    """The entry points of a group by plugin and distribution."""
    return {(point.name, point.dist.name if point.dist else "?"): point for point in importlib.metadata.entry_points(group=group)}


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
