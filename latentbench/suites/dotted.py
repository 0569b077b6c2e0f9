"""Settings as suite files write them, nested or with dots, as dotted settings."""

from __future__ import annotations

from typing import Any

from latentbench.errors import UserError, written
from latentbench.suites.sweep import NESTED, check_key
from latentbench.suites.yaml_source import Place, Source


def dotted_settings(raw: Any, source: Source, at: Place) -> dict[str, Any]:
    """Nested settings as dotted keys, their names checked."""
    if not isinstance(raw, dict):
        raise UserError(f"{source.where(at)}: expected settings like `family: poisson`, got {written(raw)}")
    flat: dict[str, Any] = {}
    for key, value in raw.items():
        if key in NESTED and not isinstance(value, dict):
            raise UserError(f"{source.where((*at, key))}: '{key}' holds settings, got {written(value)}")
        settings = {f"{key}.{inner}": v for inner, v in value.items()} if key in NESTED else {key: value}
        for name in settings:
            check_at(source, (*at, *name.split(".")), name)
            if name in flat:
                raise UserError(f"{source.where((*at, *name.split('.')))}: '{name}' is given twice")
        flat.update(settings)
    return flat


def check_at(source: Source, at: Place, key: str) -> None:
    """Refuse a dotted key, said at a place, that names no setting."""
    try:
        check_key(key)
    except UserError as error:
        raise error.at(source.where(at)) from error
