"""The state of a run, from its row and the evaluations that are there: one table."""

import pytest

from latentbench.results.states import run_state
from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.run_state import MISSING, Kind

ELBO, KNN = (EvaluationPlan(name, {}, "1") for name in ("elbo", "knn"))
ROW = {"started": None, "evaluated": None, "status": "done", "failure_kind": None, "failure_message": None, "sources": None}
FAILED = {**ROW, "status": "failed", "failure_kind": "killed", "failure_message": "process ended with signal SIGKILL"}
FRAGILE = {**ROW, "failure_kind": "evaluation", "failure_message": "evaluation knn: wrong"}
BOTH = {ELBO.id, KNN.id}
CASES = {
    "done": (ROW, BOTH, {}, "done"),
    "done, with more than was asked for": (ROW, {*BOTH, "more-1"}, {}, "done"),
    "an evaluation is missing": (ROW, {ELBO.id}, {}, "unevaluated (without knn)"),
    "trained by other code": (ROW, BOTH, {"model": ["a.py"]}, "stale (changed since: a.py)"),
    "trained by other code, and an evaluation is missing": (ROW, {ELBO.id}, {"model": ["a.py"]}, "stale (changed since: a.py; without knn)"),
    "measured by other code": (ROW, BOTH, {"measured": {KNN.id: ["k.py"]}}, "stale (changed since: k.py)"),
    "measured by other code, and an evaluation is missing": (
        *(ROW, {ELBO.id}, {"measured": {ELBO.id: ["e.py"]}}),
        "unevaluated (without knn; changed since: e.py)",
    ),
    "failed": (FAILED, set(), {}, "failed (killed: process ended with signal SIGKILL)"),
    "an evaluation failed": (FRAGILE, {ELBO.id}, {}, "failed (evaluation knn: wrong)"),
    "an evaluation failed that is there by now": (FRAGILE, BOTH, {}, "done"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_state_of_a_run(case):
    row, evaluated, changed, shown = CASES[case]
    assert str(run_state(row, evaluated, (ELBO, KNN), **changed)) == shown


def test_a_run_without_a_row_is_missing():
    assert run_state(None, BOTH, (ELBO,)) == MISSING
    assert MISSING.kind is Kind.MISSING
    assert MISSING.revision is None
