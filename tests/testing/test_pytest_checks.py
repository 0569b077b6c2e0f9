"""The kit in pytest: how each finding shows. pytest runs in a process of its own, on a part and laws that are made up."""

import os
import subprocess
import sys

import pytest

from latentbench.errors import UserError
from latentbench.part import Part
from latentbench.testing import latentbench_checks

FILE = """
from latentbench.part import Part
from latentbench.testing import InapplicableError, check, holds, kinds, latentbench_checks
from latentbench.testing.kinds import Laws

@check("one is one", "arithmetic")
def kept(subject, effort):
    yield holds("1 = 1", True)

@check("one is two", "a lost bit")
def broken(subject, effort):
    yield holds(f"1 = 2 with {effort.samples} samples", False)

@check("one is three", "two lost bits")
def known(subject, effort):
    yield holds("1 = 3", False)

@check("two is two", "nothing")
def better(subject, effort):
    yield holds("2 = 2", True)

@check("what is not said", "silence")
def silent(subject, effort):
    raise InapplicableError("it has no numbers")

class Mine(Part):
    name = "mine"
    deviations = {"known": "it counts in halves", "better": "it could not count"}

kinds.LAWS = (Laws(Mine, "mine", (kept, broken, known, better, silent), lambda part, options, effort: part),)
test_mine = latentbench_checks(Mine)
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checks")
    (folder / "test_mine.py").write_text(FILE)
    words = [sys.executable, "-m", "pytest", "-v", "-rA", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False).stdout


@pytest.mark.parametrize(
    "line",
    [
        "PASSED test_mine.py::test_mine[kept]",
        "FAILED test_mine.py::test_mine[broken]",
        "SKIPPED [1] ",
        "it has no numbers",
        "XFAIL test_mine.py::test_mine[known]",
        "it counts in halves",
        "PASSED test_mine.py::test_mine[better]",
        "UserWarning: Mine declares a deviation from 'better' that was not found (it could not count)",
        "1 failed, 2 passed, 1 skipped, 1 xfailed, 1 warning",
    ],
)
def test_every_finding_shows(line, shown):
    assert line in shown


def test_a_failure_says_law_numbers_and_cause_and_has_no_traceback(shown):
    said = [line.strip() for line in shown.splitlines()]
    start = said.index("Mine breaks 'broken'")
    assert said[start + 1 : start + 4] == ["law: one is two", "found: 1 = 2 with 100000 samples (its defaults)", "usual cause: a lost bit"]
    assert "Traceback" not in shown
    failure = shown[shown.index("Mine breaks 'broken'") :].split("warnings summary")[0].split("XFAILURES")[0]
    assert "pytest_checks.py:" not in failure


def test_a_class_without_laws_is_refused_at_once():
    with pytest.raises(UserError, match="there are no checks for"):
        latentbench_checks(Part)
