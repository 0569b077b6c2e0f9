"""Failures: from an exception to a row and back."""

import pytest
import torch

from latentbench.errors import MissingPluginError, NonFiniteError, UserError
from latentbench.failure import Failure, FailureKind

CASES = {
    "non-finite": (NonFiniteError("the loss was not finite"), "non-finite: the loss was not finite"),
    "missing plugin": (MissingPluginError("unknown family 'x'"), "missing plugin: unknown family 'x'"),
    "out-of-memory": (MemoryError("no room"), "out-of-memory: MemoryError: no room"),
    "error": (ValueError("wrong"), "error: ValueError: wrong"),
}


@pytest.mark.parametrize("kind", CASES)
def test_an_exception_has_a_kind_and_a_line(kind):
    error, line = CASES[kind]
    failure = Failure.of(error)
    assert (failure.kind, str(failure)) == (kind, line)


def test_torch_s_own_errors_of_memory_are_of_memory():
    errors = (torch.cuda.OutOfMemoryError("no room"), RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert {Failure.of(error).kind for error in errors} == {FailureKind.OUT_OF_MEMORY}


@pytest.mark.parametrize(
    "failure",
    [
        Failure.of(ValueError("wrong")),
        Failure.of(UserError("bad input")),
        Failure(FailureKind.KILLED, "process ended with signal SIGKILL"),
        Failure.of_evaluations({"elbo": UserError("nan"), "knn(k=5)": ValueError("two\nlines"), "r2": UserError("nan")}),
        Failure.of(ValueError("wrong")).of_a_trained_run(),
        Failure(FailureKind.TIMEOUT, "over 3 s; it has no state").of_a_trained_run(),
    ],
    ids=str,
)
def test_a_row_gives_back_what_it_was_given(failure):
    assert Failure.from_row(failure.to_row()) == failure


def test_a_row_without_failure_has_none():
    assert Failure.from_row({"failure_kind": None, "failure_message": None}) is None


def test_evaluations_with_one_reason_are_named_together():
    failure = Failure.of_evaluations({"elbo": UserError("nan"), "knn": ValueError("wrong"), "r2": UserError("nan")})
    assert str(failure) == "evaluation elbo, r2: nan; evaluation knn: ValueError: wrong"
    assert "Traceback" not in failure.message
