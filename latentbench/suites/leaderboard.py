"""The leaderboard that a suite names, checked while nothing has run yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import cast

from latentbench.errors import UserError
from latentbench.evaluation.contract import Evaluation
from latentbench.registry import Registry
from latentbench.suites.resolve import unknown_option
from latentbench.suites.suite import Suite


def check_leaderboard(suite: Suite, registry: Registry) -> Iterator[str]:
    """Remarks on what shows only at the end.

    An evaluation declares its metrics in `better`, and may measure others. A metric that none declares is refused where it is one keystroke from a
    declared one, and else remarked on; one that only evaluations declare which the suite does not ask for is refused.

    Raises:
        UserError: the metric cannot be measured, or no part has an option that rows or columns name.
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
    declaring = {name for name, part in registry.parts["evaluations"].items() if board.metric in cast("type[Evaluation]", part).better}
    if declaring and not declaring & asked and asked <= registry.parts["evaluations"].keys():  # unknown ones are named elsewhere
        raise UserError(f"{at} is measured by {', '.join(sorted(declaring))}; the suite asks for {', '.join(sorted(asked))}")
    slip = _one_keystroke_from(board.metric, registry.better())
    if slip and not declaring:
        raise UserError(f"{at}: no evaluation declares it (did you mean '{slip}'?); one that measures it must name it in `better`")
    if not declaring:
        yield f"{at}: no evaluation declares it, so that it is measured shows only when a run has ended"


def _one_keystroke_from(name: str, known: Iterable[str]) -> str | None:
    """The first known name that `name` is by a letter more, fewer or changed; digits tell metrics apart."""
    for other in known:
        changes = [(name[i:j], other[k:m]) for tag, i, j, k, m in SequenceMatcher(None, name, other).get_opcodes() if tag != "equal"]
        if len(changes) == 1 and max(map(len, changes[0])) == 1 and not any(text.isdigit() for text in changes[0]):
            return other
    return None
