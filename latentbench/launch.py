"""Which engine executes a suite's runs: what the command line says, over a profile, over the suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError

from latentbench.engine import Engine
from latentbench.errors import UserError, explain_problem
from latentbench.profile import EngineSpec, load_profile
from latentbench.registry import Registry


@dataclass(frozen=True)
class Launch:
    """What the command line says of the engine: its name, a profile (a file, or the name of one in the user's configuration), and flags, which are
    options that engines may have."""

    engine: str | None = None
    profile: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)


def choose_engine(launch: Launch, suite: EngineSpec | None, registry: Registry) -> Engine:
    """The engine, not yet checked.

    Options of the section count if the section names the engine that is used.

    Raises:
        UserError: the engine or an option is unknown or wrong, or the profile cannot be read.
    """
    section = load_profile(_profile_path(launch.profile)) if launch.profile else suite
    name = launch.engine or (section.name if section else registry.default_engine())
    ours = section if section and section.name == name else EngineSpec(name, {}, "--engine")
    try:
        engine = registry.engine(name)
    except UserError as error:
        raise type(error)(f"{ours.where}: {error}") from error
    known = engine.options_model.model_fields
    for flag in launch.flags:
        if flag not in known:
            raise UserError(f"--{flag.replace('_', '-')}: the engine '{name}' has no such option; it has: {', '.join(known) or 'none'}")
    try:
        return engine(engine.options_model.model_validate({**ours.options, **launch.flags}))
    except ValidationError as error:
        problem = error.errors()[0]
        flag, message = ".".join(map(str, problem["loc"][:1])), explain_problem(problem, known)
        if flag in launch.flags:
            message = message.removeprefix(f"{flag}: ").rpartition(", got ")[0]
            raise UserError(f"--{flag.replace('_', '-')} {launch.flags[flag]}: {message}") from error
        raise UserError(f"{ours.where}: engine '{name}': {message}") from error


def _profile_path(name: str) -> Path:
    """The file of a profile: a path, or a name in the folder `profiles` of the user's configuration."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    return platformdirs.user_config_path("latentbench") / "profiles" / f"{name}.yaml"
