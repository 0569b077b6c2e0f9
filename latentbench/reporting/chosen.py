"""The evaluations of a results folder, by id or by name and options."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from latentbench.errors import UserError, unknown
from latentbench.numbers import same
from latentbench.results.asked import records
from latentbench.results.store import Store
from latentbench.suites.evaluation_text import parse_evaluation


def chosen_evaluations(store: Store, wanted: Collection[str]) -> set[str]:
    """The ids of the stored evaluations that are wanted.

    Args:
        store: a results folder.
        wanted: ids, or names with options as in `active_units(rule=paper)`. Options that are not given are at their defaults where a suite's record
            tells them; else any value will do, as long as one evaluation is meant.

    Raises:
        UserError: one is unknown, or several are meant.
    """
    rows = store.read("evaluations", ["evaluation", "evaluation_id", "options"]).drop_duplicates("evaluation_id")
    stored = {i: (name, json.loads(options or "{}")) for name, i, options in rows.itertuples(index=False, name=None)}
    ids = stored.keys() | set(store.read("metrics", ["evaluation_id"])["evaluation_id"])
    titles = {i: title for record in records(store.path) for i, title in record.titles.items()}
    return {found for text in wanted for found in ([text] if text in ids else _named(text, stored, titles))}


def _named(text: str, stored: Mapping[str, tuple[str, Mapping[str, Any]]], titles: Mapping[str, str]) -> list[str]:
    """The evaluation that a name with options means."""
    if "-" in text and "(" not in text:
        return []  # an id that this folder does not have
    spec = parse_evaluation(text)
    fitting = [i for i, (name, options) in stored.items() if name == spec.name and _fits(spec.options, options)]
    if not fitting:
        known = {_title(name, options) for name, options in stored.values()}
        raise UserError(unknown("evaluation", text, known))
    exact = [i for i in fitting if i in titles and _same(spec.options, parse_evaluation(titles[i]).options)]
    chosen = exact or fitting
    if len(chosen) > 1:
        found = "; ".join(f"{i}: {_title(*stored[i])}" for i in sorted(chosen))
        raise UserError(f"--evaluation {text} may mean several evaluations; choose one by its id ({found})")
    return chosen


def _fits(wanted: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    return all(key in options and same(options[key], value) for key, value in wanted.items())


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and _fits(one, other)


def _title(name: str, options: Mapping[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value}' for key, value in options.items())})" if options else name
