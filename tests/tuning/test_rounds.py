"""When a round is done."""

import pytest

from latentbench.suites.evaluation_plan import EvaluationPlan
from latentbench.suites.run_state import Kind, RunState
from latentbench.tuning.rounds import unfinished

ELBO = EvaluationPlan("elbo", {}, "1")


@pytest.mark.parametrize(
    ("state", "is_unfinished"),
    [
        (RunState(Kind.DONE), False),
        (RunState(Kind.FAILED), False),
        (RunState(Kind.STALE), False),
        (RunState(Kind.STALE, lacking=(ELBO,)), True),
        (RunState(Kind.UNEVALUATED, lacking=(ELBO,)), True),
        (RunState(Kind.INTERRUPTED), True),
        (RunState(Kind.MISSING), True),
    ],
)
def test_what_was_not_measured_yet_is_no_failure(state, is_unfinished):
    """A stale run is not measured without being asked to: its trial has no value, and has not failed."""
    assert unfinished(state) is is_unfinished
