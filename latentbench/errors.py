"""Mistakes in what a user gave: one message, exit code 2, no traceback."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


class UserError(Exception):
    """Bad input (suite, plugin, data file, results folder, flag). The message names the thing, what was found and what is allowed."""


class MissingPluginError(UserError):
    """A name that no loaded plugin provides, while some plugin could not be loaded: it may be the one that would."""


class NonFiniteError(Exception):
    """A number that training needs is not finite: the loss, or what a plugin returned in the first batch."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the closest known name, or nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that nobody knows: the nearest known name and all that are allowed."""
    names = sorted(known)
    return f"unknown {kind} '{name}'{nearest(name, names)}; known: {', '.join(names) or 'none'}"


def explain_problem(problem: Any, known: Mapping[str, Any]) -> str:
    """One pydantic problem in one line: which key, what is allowed, what was found."""
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'{nearest(key, known)}; known: {', '.join(known)}"
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    of_many = problem["type"] == "value_error" and isinstance(problem["input"], Mapping)  # then the message says which
    found = "" if of_many else f", got {problem['input']!r}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key + ': ' if key else ''}{message[0].lower()}{message[1:]}{found}"


def failure_line(kind: str, message: str) -> str:
    """A stored failure in one line, the same wherever it is shown: its kind, and the last line of its traceback, less the class of our own errors."""
    last = message.strip().splitlines()[-1]
    for ours in (UserError, MissingPluginError, NonFiniteError):
        last = last.removeprefix(f"{ours.__module__}.{ours.__qualname__}: ")
    return last if last.startswith(f"{kind} ") else f"{kind}: {last}"
