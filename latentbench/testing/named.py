"""Finding the part that a name means, and its options as a user writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError

from latentbench.errors import UserError, first_problem, unknown
from latentbench.part import Options, Registered
from latentbench.registry import Registry


def part_named(name: str, registry: Registry, kind: str | None = None) -> type[Registered]:
    """The part that plugins register under `name`, of `kind` (`family`, `data set`, ...) where several kinds have the name.

    Raises:
        UserError: there is none, there are several, or the kind is unknown.
        MissingPluginError: there is none, and some plugin is broken.
    """
    kinds = {of.singular.replace(" ", ""): plural for plural, of in registry.kinds.items()}
    if kind is not None and kind.replace(" ", "") not in kinds:
        raise UserError(unknown("kind", kind, kinds))
    if kind is not None:
        return registry.get(kinds[kind.replace(" ", "")], name)
    found = [(one, registry.parts[plural][name]) for one, plural in kinds.items() if name in registry.parts[plural]]
    if len(found) > 1:
        raise UserError(f"'{name}' is a {' and a '.join(one for one, _ in found)}; say which with --kind")
    if not found:
        everything = sorted({known for plural in kinds.values() for known in registry.parts[plural]})
        raise registry.missing(unknown("part", name, everything))
    return found[0][1]


def options_of(part: type[Registered], given: Mapping[str, Any]) -> Options | None:
    """The options of a part; None where none are given.

    Raises:
        UserError: one is unknown or has a wrong value.
    """
    if not given:
        return None
    try:
        return part.options_model.model_validate(dict(given))
    except ValidationError as error:
        raise first_problem(error, part.options_model, dict(given)).error(note=f" (option of '{part.name}')") from error


def known_device(device: str) -> str:
    """The name of a device that this machine has.

    Raises:
        UserError: there is no such device here.
    """
    try:
        torch.empty(0, device=device)
    except Exception as error:  # torch raises AssertionError, RuntimeError and others for what it was not built with
        raise UserError(f"no device '{device}' here: {str(error).splitlines()[0]}", where="--device") from error
    return device
