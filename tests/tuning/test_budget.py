"""Suites in which every model trains for the same time."""

import pytest

from latentbench.errors import UserError
from latentbench.suites.launch import Launch
from latentbench.tuning import budget
from tests.tuning.conftest import SUITE

INLINE = Launch("test_inline")
REFUSED = {
    "no leaderboard": (SUITE[SUITE.index("leaderboard") :], "", "suite.yaml: the suite has no leaderboard, whose rows and columns"),
    "nothing run": ("tune:", "tune:", "the pace of family=poisson is unknown, as its runs are missing; `latentbench run` runs them"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_budget_is_refused_and_nothing_is_written(name, suite_file, tmp_path):
    old, new, message = REFUSED[name]
    with pytest.raises(UserError) as error:
        budget(suite_file(SUITE.replace(old, new)), tmp_path / "seconds.yaml", tmp_path / "r", 1.0, INLINE)
    assert message in str(error.value)
    assert not (tmp_path / "seconds.yaml").exists()


def test_a_suite_that_includes_others_is_refused(suite_file, tmp_path):
    suite_file(SUITE.partition("tune:")[0], "other.yaml")
    suite = suite_file("name: both\ninclude: [other.yaml]\nleaderboard: {metric: nelbo, rows: [family]}\n")
    with pytest.raises(UserError, match=r"suite.yaml:2: runs of included suites keep their lengths: give each of those suites a budget"):
        budget(suite, tmp_path / "seconds.yaml", tmp_path / "r", 1.0, INLINE)


def test_the_suite_itself_is_not_overwritten(suite_file, tmp_path):
    suite = suite_file(SUITE)
    with pytest.raises(UserError, match=r"--out .*suite.yaml: that is the suite itself"):
        budget(suite, suite, tmp_path / "r", 1.0, INLINE)
    assert suite.read_text() == SUITE
