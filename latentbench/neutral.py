"""Fields that a model of settings was given later, and the ids of runs that were stored before.

Such a field declares its neutral value: the one at which everything is as it was without the field. At it the field is left out of a run's
description, and so of its id, and a description without it means that value, whatever the default has become.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, Field

KEY = "neutral"


def added(default: Any, *, neutral: Any, **about: Any) -> Any:
    """A pydantic field for a setting or option that is added to a model whose runs are stored already.

    Args:
        default: what it is where a suite says nothing.
        neutral: the value at which runs are what they were without the field, as JSON has it.
        about: what else `pydantic.Field` takes, such as `description` and limits.
    """
    return Field(default, json_schema_extra={KEY: neutral}, **about)


@cache
def neutral_values(model: type[BaseModel]) -> dict[str, Any]:
    """Field -> neutral value, for the fields of `model` that declare one."""
    extras = {name: field.json_schema_extra for name, field in model.model_fields.items()}
    return {name: extra[KEY] for name, extra in extras.items() if isinstance(extra, dict) and KEY in extra}


def without_neutral(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` (as JSON has them) without the fields of `model` that are at their neutral value."""
    neutral = neutral_values(model)
    return {name: value for name, value in values.items() if name not in neutral or value != neutral[name]}


def with_neutral(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` of a stored description, completed by what they leave out."""
    return {**neutral_values(model), **values}
