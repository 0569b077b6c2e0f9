"""The rows of a suite out of shared folders: its own runs and evaluations by id, published results by the settings that they state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from latentbench.errors import UserError
from latentbench.numbers import same
from latentbench.reporting.query import Query
from latentbench.reporting.selecting import select
from latentbench.results.asked import Asked
from latentbench.results.lookup import stored
from latentbench.results.selection import matching
from latentbench.suites.settings import OPTION_OWNERS

STATED = ("family", "estimator", "dataset", "likelihood", "encoder", "decoder", "latent_dim", "beta", "limit_data")
"""Settings that published results may state, besides options."""


def of_suite(query: Query, stores: Sequence[Path], asked: Asked) -> pd.DataFrame:
    """The rows of `select` that a suite asks for, and a row with the status `missing` for every run of it that no folder has.

    A folder without any run of the suite has results of others, as published ones: their rows that agree with a run of the suite in all that they
    state are shown.

    Raises:
        UserError: no folder has any of its runs.
    """
    there = {path: asked.runs.keys() & set(stored(path).read("runs", ["run_id"])["run_id"]) for path in stores}
    own = [path for path in stores if there[path]]
    others = [path for path in stores if path not in own]
    if not own:
        raise UserError(f"no run of the suite '{asked.name}' is in {', '.join(map(str, stores))}")
    evaluations = query.evaluations or frozenset().union(*asked.evaluations.values())
    values = select(own, replace(query, run_ids=frozenset(asked.runs), evaluations=evaluations), unmeasured=True)
    frames = [values]
    if others:
        foreign = select(others, query)
        frames.append(foreign[[_agrees(row, asked) for row in foreign.to_dict("records")]])
    missing = asked.runs.keys() - set().union(*there.values())
    if missing:
        rows = pd.DataFrame([{**asked.runs[run_id], "status": "missing"} for run_id in sorted(missing)])
        rows = rows.drop(columns="evaluations", errors="ignore").assign(kind="run", store=str(own[0]), measured=False, censored=0)
        with suppress(UserError):  # no missing run has a value that the filter wants
            frames.append(matching(rows, query.only))
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def _agrees(row: Mapping[Any, Any], asked: Asked) -> bool:
    """Whether a row of others states nothing that no run of the suite has."""
    return any(_compatible(row, run) for run in asked.runs.values())


def _compatible(row: Mapping[Any, Any], run: Mapping[str, Any]) -> bool:
    for name in STATED:
        if _said(row.get(name)) and not same(row[name], run[name]):
            return False
    for name in OPTION_OWNERS:
        if _said(row.get(name)):
            mine = json.loads(run[name] or "{}")
            if any(key in mine and not same(mine[key], value) for key, value in json.loads(row[name]).items()):
                return False
    return True


def _said(value: Any) -> bool:
    return value is not None and value == value  # noqa: PLR0124  # a missing one may be not a number
