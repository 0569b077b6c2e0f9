"""Mistakes in what a user gave: one message, exit code 2, no traceback."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

KINDS = {"model_type": "expected a mapping", "dict_type": "expected a mapping", "list_type": "expected a list", "string_type": "expected a text"}
"""pydantic's kinds of problem, where its own words tell of Python."""
MAX_SHOWN = 80
"""Characters of a wrong value that a message shows."""


class UserError(Exception):
    """Bad input (suite, plugin, data file, results folder, flag). The message names the thing, what was found and what is allowed."""


class MissingPluginError(UserError):
    """A name that no loaded plugin provides, while some plugin could not be loaded: it may be the one that would."""


class NonFiniteError(Exception):
    """A number that training needs is not finite: the loss, or what a plugin returned in the first batch."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the closest known name, or nothing."""
    close = get_close_matches(name[: 2 * MAX_SHOWN], list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that nobody knows: the nearest known name and all that are allowed."""
    names = sorted(known)
    return f"unknown {kind} '{shortened(name)}'{nearest(name, names)}; known: {', '.join(names) or 'none'}"


def shortened(text: str, width: int = MAX_SHOWN) -> str:
    """A text that fits into a message."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def written(value: Any) -> str:
    """A value as a suite file could have it."""
    return shortened(repr(value) if isinstance(value, (str, float)) else json.dumps(value, ensure_ascii=False, default=str))


def flagged(value: Any) -> str:
    """A value as a flag has it."""
    return shortened(value) if isinstance(value, str) else written(value)


def first_problem(error: ValidationError, model: type[BaseModel], given: Any, under: str = "") -> tuple[tuple[str | int, ...], str]:
    """What pydantic found wrong with `given`, as the path of keys to it, and one line: which key, what is allowed, what was found.

    A misspelt key comes first, as it explains a missing one. Where a value may be of several kinds the line has all of them. `under` is the key that
    `given` belongs to.
    """
    problem = min(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    at = _keys(problem["loc"], given)
    key = ".".join(map(str, ([under] if under else []) + [*at]))
    if problem["type"] == "extra_forbidden":
        known = _model_at(model, at[:-1]).model_fields
        allowed = f"known: {', '.join(known)}" if known else "it has no options"
        return at, f"unknown key '{shortened(key)}'{nearest(str(at[-1]), known)}; {allowed}"
    if problem["type"] == "missing":
        return at, f"'{f'{key}.' if key else ''}{problem['loc'][-1]}' is missing"
    alternatives = [KINDS.get(p["type"]) or _lowered(p["msg"]) for p in error.errors() if _keys(p["loc"], given) == at]
    of_model = not at or _model_at(model, at) is not _model_at(model, at[:-1])
    found = "" if of_model and problem["type"] == "value_error" else f", got {written(problem['input'])}"  # there the message says which of many
    return at, f"{key + ': ' if key else ''}{', or '.join(dict.fromkeys(alternatives))}{found}"


def explain(error: ValidationError, model: type[BaseModel], given: Any, under: str = "") -> str:
    """The line of `first_problem`."""
    return first_problem(error, model, given, under)[1]


def _lowered(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _keys(place: Sequence[str | int], given: Any) -> tuple[str | int, ...]:
    """Of pydantic's path to a problem, the keys that `given` has: the rest names alternatives of a type, as in `expect.list[str]`."""
    keys: list[str | int] = []
    for part in place:
        inside = part in given if isinstance(given, Mapping) else isinstance(given, (list, tuple)) and isinstance(part, int) and part < len(given)
        if inside:
            given = given[part]
            keys.append(part)
    return tuple(keys)


def _model_at(model: type[BaseModel], keys: Sequence[str | int]) -> type[BaseModel]:
    """The model that describes what stands under `keys`, as far as fields hold models."""
    for key in keys:
        field = model.model_fields.get(str(key))
        nested = [kind for kind in (field.annotation, *get_args(field.annotation)) if hasattr(kind, "model_fields")] if field else []
        model = nested[0] if nested else model
    return model
