"""Errors with fields: what callers add to them, and what stays."""

import errno
import pickle

import pytest

from latentbench.errors import MissingPluginError, UserError
from latentbench.files import FolderError

UNREADABLE = FolderError(errno.EACCES, "cannot be read: Permission denied", "/data/x")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("it is wrong"), "it is wrong"),
        (UserError("expected a number", key="beta"), "beta: expected a number"),
        (UserError("expected a number", key="beta", where="a.yaml:3"), "a.yaml:3: beta: expected a number"),
        (UserError("expected a number").at("--set beta=x", key="beta"), "--set beta=x: beta: expected a number"),
        (UserError("line 2").at("b.yaml:1").at("a.yaml:3"), "a.yaml:3: b.yaml:1: line 2"),
        (UNREADABLE, "/data/x cannot be read: Permission denied"),
        (UNREADABLE.at("a.yaml:3"), "a.yaml:3: /data/x cannot be read: Permission denied"),
    ],
)
def test_a_message_starts_with_place_and_key(error, message):
    assert str(error) == message
    assert str(pickle.loads(pickle.dumps(error))) == message


def test_a_place_is_added_to_a_copy_of_the_same_class():
    error = MissingPluginError("unknown family 'x'")
    located = error.at("a.yaml:3", key="family")
    assert isinstance(located, MissingPluginError)
    assert (located.where, located.key, located.problem) == ("a.yaml:3", "family", "unknown family 'x'")
    assert str(error) == "unknown family 'x'"
    assert UNREADABLE.at("here").errno == errno.EACCES
