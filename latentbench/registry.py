"""The registry: every plugin's parts of runs, evaluations and engines, by kind and name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import ModuleType
from typing import cast

from latentbench import hookspecs
from latentbench.data.dataset import DataSet
from latentbench.declared import problem
from latentbench.engine import Engine
from latentbench.evaluation.contract import Evaluation
from latentbench.loading import Group, Kind, Loaded, fill, load
from latentbench.measure import Measure
from latentbench.models.estimator import Estimator
from latentbench.models.family import Family
from latentbench.models.likelihood import Likelihood
from latentbench.models.network import Network
from latentbench.part import Registered

KINDS = {
    "families": Kind(Family, "family"),
    "estimators": Kind(Estimator, "estimator"),
    "likelihoods": Kind(Likelihood, "likelihood"),
    "networks": Kind(Network, "network"),
    "datasets": Kind(DataSet, "data set"),
    "evaluations": Kind(Evaluation, "evaluation"),
    "engines": Kind(Engine, "engine"),
}
GROUP = Group(hookspecs, KINDS, problem)


@dataclass
class Registry(Loaded):
    """The parts that plugins of the group `latentbench` provide. `files` has the names of those that are files, and not installed."""

    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)
    files: tuple[str, ...] = ()

    def with_file(self, plugin: str, parts: Mapping[tuple[str, str], type[Registered]]) -> Registry:
        """This registry with the parts of a plugin file, by kind and name, which take the place of its own of the same names."""
        mine = {kind: dict(named) for kind, named in self.parts.items()}
        for (kind, name), part in parts.items():
            mine[kind][name] = part
        return replace(self, parts=mine, providers={**self.providers, **dict.fromkeys(parts.values(), plugin)}, files=(*self.files, plugin))

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
            raise self.missing(f"{len(names)} engines say that they are the default{': ' if names else ''}{', '.join(names)}; name one with --engine")
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
    """The registry of plugin modules, given as (name, module), by the rules of `latentbench.loading.fill`."""
    registry = Registry(broken=dict(broken or {}))
    fill(registry, modules, GROUP)
    return registry


@cache
def load_registry() -> Registry:
    """The registry of every installed plugin.

    Raises:
        UserError: LATENTBENCH_DISABLE names what is not installed.
    """
    registry = Registry()
    load("latentbench", GROUP, registry)
    return registry
