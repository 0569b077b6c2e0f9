"""Which engine executes a suite's runs: what the command line says, over a profile, over the suite."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError

from latentbench.engine import Engine
from latentbench.errors import UserError, first_problem, shortened
from latentbench.registry import Registry
from latentbench.suites.profile import EngineSpec, load_profile


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
    for flag, name in (("--engine", launch.engine), ("--profile", launch.profile)):
        if name == "":
            raise UserError(f"{flag}: expected a name, got nothing")
    section = load_profile(_profile_path(launch.profile)) if launch.profile else suite
    name = launch.engine or (section.name if section else registry.default_engine())
    ours = section if section and section.name == name else EngineSpec(name, {}, "--engine")
    try:
        engine = registry.engine(name)
    except UserError as error:
        raise error.at(ours.where) from error
    known = engine.options_model.model_fields
    for flag in launch.flags:
        if flag not in known:
            raise UserError(f"--{flag.replace('_', '-')}: the engine '{name}' has no such option; it has: {', '.join(known) or 'none'}")
    given = {**ours.options, **launch.flags}
    try:
        return engine(engine.options_model.model_validate(given))
    except ValidationError as error:
        problem = first_problem(error, engine.options_model, given)
        if problem.key in launch.flags:
            flag = f"--{problem.key.replace('_', '-')} {shortened(str(launch.flags[problem.key]))}"
            raise UserError(problem.expected, where=flag) from error
        raise UserError(f"engine '{name}': {problem.error()}", where=ours.where) from error


def _profile_path(name: str) -> Path:
    """The file of a profile: a path, or a name in the folder `profiles` of the user's configuration."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or os.path.exists(path):  # unlike Path.exists it answers for names that are too long as well
        return path
    return platformdirs.user_config_path("latentbench") / "profiles" / f"{name}.yaml"
