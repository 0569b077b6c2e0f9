"""Which engine a suite or a profile names, and its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from latentbench.part import Options
from latentbench.suites.yaml_source import Source


@dataclass(frozen=True)
class EngineSpec:
    """The engine that a suite or a profile names, and its options, as written."""

    name: str
    options: Mapping[str, Any]
    where: str


class EngineSection(Options):
    """Where runs are executed: the engine's name and its options."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="Name of the engine.")

    def spec(self, source: Source) -> EngineSpec:
        """What the section says, and where."""
        return EngineSpec(self.name, self.model_extra or {}, source.where(("engine",)))


Engine = Annotated[EngineSection, BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value)]
"""The name alone will do."""


class ProfileFile(Options):
    """What a profile may hold: what belongs to a place and not to a suite."""

    engine: Engine = Field(description="Where runs are executed.")


def load_profile(path: Path) -> EngineSpec:
    """Read the `engine:` section of a profile.

    Raises:
        UserError: the file is missing, is not YAML, or has no such section; the message names file and line.
    """
    source = Source.read(path, "profile", "`engine`")
    try:
        profile = ProfileFile.model_validate(source.data)
    except ValidationError as error:
        raise source.error(error, ProfileFile) from error
    return profile.engine.spec(source)
