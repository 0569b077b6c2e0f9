"""The leaderboard that a suite names, checked while nothing has run yet."""

from __future__ import annotations

from typing import cast

from latentbench.errors import UserError, nearest
from latentbench.evaluation.contract import Evaluation
from latentbench.models.family import Family
from latentbench.registry import Registry
from latentbench.suites.resolve import unknown_option
from latentbench.suites.suite import Suite


def check_leaderboard(suite: Suite, registry: Registry) -> None:
    """Refuse a leaderboard that could only turn out to be empty.

    Raises:
        UserError: no part declares the metric, the suite asks for no evaluation that measures it, or no part has an option that rows or columns name.
    """
    board = suite.leaderboard
    if board is None:
        return
    where = suite.source.where
    for part, names in (("rows", board.rows), ("columns", board.columns)):
        for index, name in enumerate(names):
            if unknown := unknown_option(name, registry):
                raise UserError(unknown, where=where(("leaderboard", part, index)))
    at = f"{where(('leaderboard', 'metric'))}: metric '{board.metric}'"
    asked = {evaluation.name for sweep in suite.sweeps for evaluation in sweep.evaluations}
    if not asked:
        raise UserError(f"{at}: the suite asks for no evaluation, so nothing is measured")
    parts = {name: cast("type[Evaluation]", part) for name, part in registry.parts["evaluations"].items()}
    costs = {name for family in registry.parts["families"].values() for name in cast("type[Family]", family).measures}
    measuring = {name for name, part in parts.items() if board.metric in part.metrics or (part.reports_costs and board.metric in costs)}
    if not measuring:
        raise UserError(f"{at}: no evaluation or family declares it{nearest(board.metric, registry.declarations())}")
    if not measuring & asked and asked <= parts.keys():  # unknown ones are named elsewhere
        raise UserError(f"{at} is measured by {', '.join(sorted(measuring))}; the suite asks for {', '.join(sorted(asked))}")
