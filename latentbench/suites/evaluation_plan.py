"""One evaluation of a planned run, its id, and the parts that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast, get_args

from latentbench.errors import UserError, unknown
from latentbench.suites.settings import digest

if TYPE_CHECKING:  # torch comes with them, and who only reads rows does without
    from latentbench.part import Part
    from latentbench.registry import Registry


@dataclass(frozen=True)
class EvaluationPlan:
    """One evaluation of a run. The id is its name and a hash over its version and options, of which `title` shows those that a suite chose.

    `builds` has the parts that it builds, `setting:name` -> version; they are in the id where there are any.
    """

    name: str
    options: Mapping[str, Any]
    version: str
    title: str = field(default="", compare=False)
    builds: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.title or self.name

    @cached_property
    def id(self) -> str:
        """`name-` and eight hexadecimal digits."""
        built = {"builds": dict(self.builds)} if self.builds else {}
        return f"{self.name}-{digest({'options': dict(self.options), 'version': self.version, **built})[:8]}"

    @property
    def versions(self) -> dict[str, str]:
        """`setting:name` -> version of itself and of the parts that it builds."""
        return {f"evaluation:{self.name}": self.version, **self.builds}

    def built(self, registry: Registry) -> dict[str, type[Part]]:
        """The parts that it builds, by `setting:name`.

        Raises:
            UserError: one is not registered.
        """
        return {key: buildable(key, registry) for key in self.builds}

    def parts(self, registry: Registry) -> tuple[type[Part], ...]:
        """The evaluation, and the parts that it builds.

        Raises:
            UserError: one is not registered.
        """
        return registry.evaluation(self.name), *self.built(registry).values()


def buildable(key: str, registry: Registry) -> type[Part]:
    """The part that an evaluation builds, named as `setting:name`.

    Raises:
        MissingPluginError: no loaded plugin provides it, while some plugin is broken.
        UserError: there is no such part, or it is none that evaluations can build.
    """
    from latentbench.evaluation.trained import Setting  # with torch, as above
    from latentbench.suites.resolve import PART_KINDS

    setting, _, name = key.partition(":")
    if setting not in get_args(Setting):
        raise UserError(unknown("kind of part to build", setting, get_args(Setting)))
    return cast("type[Part]", registry.get(PART_KINDS.get(setting, "networks"), name))
