"""Which options a part is tried with: its defaults, every value of an enumerated option, and random draws of the others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from latentbench.part import Options, Registered
from latentbench.streams import seed_of

DRAWS = 3
SPREAD = 0.7
"""A random number is its default times e^u with u uniform in [-.7, .7]."""


def variants(part: type[Registered], seed: int) -> list[Options]:
    """Options to try a part with, the defaults first; none twice, and none that the model refuses."""
    model, found = part.options_model, []
    for values in _choices(model, np.random.default_rng(seed_of(seed, "variants", part.name))):
        try:
            options = model.model_validate(values)
        except ValidationError:  # options may depend on one another, and a draw may miss that
            continue
        if options not in found:
            found.append(options)
    return found


def title(options: Options) -> str:
    """The options that differ from their defaults, as `truncate=False, limit=3`."""
    fields = type(options).model_fields
    return ", ".join(f"{key}={_short(value)}" for key, value in options if value != fields[key].get_default(call_default_factory=True))


def _choices(model: type[Options], rng: np.random.Generator) -> Iterator[Mapping[str, Any]]:
    yield {}
    for name, field in model.model_fields.items():
        yield from ({name: value} for value in _enumerated(field.annotation))
    for _ in range(DRAWS):
        drawn = {name: _drawn(field, rng) for name, field in model.model_fields.items() if not _enumerated(field.annotation)}
        yield {name: value for name, value in drawn.items() if value is not None}


def _enumerated(annotation: Any) -> tuple[Any, ...]:
    """The values of an enumerated type, or of a union with one; none of another."""
    if get_origin(annotation) in (Union, UnionType):
        values = [value for member in get_args(annotation) for value in _enumerated(member)]
        return (*values, None) if values and NoneType in get_args(annotation) else tuple(values)
    if annotation is bool:
        return (False, True)
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(annotation)
    return ()


def _drawn(field: FieldInfo, rng: np.random.Generator) -> float | int | None:
    """A number near an option's default, within its bounds; None for what is no number."""
    default = field.get_default(call_default_factory=True)
    if isinstance(default, bool) or not isinstance(default, (int, float)):
        return None
    value = default * math.exp(rng.uniform(-SPREAD, SPREAD)) if default else float(rng.uniform(0, 1))
    for bound in field.metadata:
        value = max(value, getattr(bound, "ge", -math.inf), getattr(bound, "gt", -math.inf))
        value = min(value, getattr(bound, "le", math.inf), getattr(bound, "lt", math.inf))
    return _another(default, value) if isinstance(default, int) else value


def _another(default: int, value: float) -> int:
    """A whole number near `value` that is not the default."""
    return round(value) if round(value) != default else default + 1


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
